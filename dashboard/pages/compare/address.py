"""The address of Compare: runs, each a query of its own, how they are compared, and what belongs to other pages."""

from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode

from gradlab.config import RunConfig
from gradlab.config.links import VERSION, from_query, one_of_several, query_of, to_query
from gradlab.errors import echo
from gradlab.runs.comparison import MOST, SEEDS
from gradlab.runs.sizes import EQUAL

from .examples import FIRST

OWN = ("run", "equal", "seeds")
MOST_SEEDS = 64


@dataclass(frozen=True)
class View:
    """What is compared. along: the query of the run, with its pins, that travels between the pages."""

    runs: tuple[RunConfig, ...]
    seeds: int = SEEDS
    equal: str = EQUAL[0]
    along: str = ""

    @property
    def address(self) -> str:
        """The query that opens this page again, with its question mark."""
        pairs = [("run", query_of(run)) for run in self.runs]
        pairs += [("equal", self.equal)] if self.equal != EQUAL[0] else []
        pairs += [("seeds", str(self.seeds))] if self.seeds != SEEDS else []
        return "?" + "&".join(filter(None, [urlencode([("v", VERSION)]), self.along, urlencode(pairs)]))

    def opened(self, n: int) -> str:
        """The query of the n-th run, the others pinned."""
        return to_query(self.runs[n], [run for other, run in enumerate(self.runs) if other != n])


def read(search: str) -> tuple[View, list[str]]:
    """What an address means, and in words what of it is left out.

    Without runs of its own, those of Explore's address: the run and its pins. An empty one means the first example.
    """
    pairs = parse_qsl(search.removeprefix("?"), keep_blank_values=True)
    others = [pair for pair in pairs if pair[0] not in OWN]
    along = urlencode([pair for pair in others if pair[0] != "v"])
    given, link = dict(pairs), from_query(urlencode(others))
    notices = list(link.notices)
    named = [one_of_several(text, notices, RunConfig, "A run") for name, text in pairs if name == "run"]
    runs = [run for run in named if run is not None]
    if not named and along:
        notices += [f"The run is left out: it uses {name}, which is not here." for name in link.missing.values()]
        runs = [*([] if link.missing else [link.config]), *link.pins]
    if len(runs) > MOST:
        notices.append(f"This link has {len(runs)} runs; the first {MOST} are shown.")
    equal, seeds = _equal(given, notices), _seeds(given, notices)
    return View(tuple(runs[:MOST]) or FIRST, seeds, equal, along), notices


def _equal(given: dict[str, str], notices: list[str]) -> str:
    equal = given.get("equal", EQUAL[0])
    if equal in EQUAL:
        return equal
    notices.append(f"Ignored equal: expected {' or '.join(EQUAL)}, got {echo(equal)}")
    return EQUAL[0]


def _seeds(given: dict[str, str], notices: list[str]) -> int:
    text = given.get("seeds", str(SEEDS))
    if text.isascii() and text.isdigit() and len(text) < 9 and 1 <= int(text) <= MOST_SEEDS:
        return int(text)
    notices.append(f"Ignored seeds: expected a whole number from 1 to {MOST_SEEDS}, got {echo(text)}")
    return SEEDS
