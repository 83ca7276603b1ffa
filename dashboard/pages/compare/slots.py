"""The slots of Compare: a run each, as the query that it came with and what its quick fields say."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gradlab.config import RunConfig
from gradlab.config.links import from_query, query_of
from gradlab.runs.comparison import MOST
from gradlab.wording import exact_text

from ... import form, ids

FIELDS = ("cell", "activation", "recurrent_init", "gain", "forget_bias", "steps")
WORD = ids.word("forget_bias")  # here the field itself takes its word
PLACES = range(MOST)


@dataclass(frozen=True)
class Slot:
    """A run. raw: values of the quick fields, which go before those of the query."""

    query: str
    raw: Mapping[str, Any]

    @property
    def form(self) -> form.Form[RunConfig]:
        """The run, with defaults in place of what is wrong, and what is wrong: a file that has gone, too."""
        link = from_query(self.query)
        found = form.read(form.raw(link.config) | dict(self.raw) | {WORD: False})
        gone = {field: f"{name} is no longer kept; drop it again in Explore" for field, name in link.missing.items()}
        return form.Form(found.config, gone | found.errors)


def slot(config: RunConfig) -> Slot:
    """The slot of a run, as yet unchanged."""
    raw, bias = form.raw(config), config.forget_bias
    text = bias if isinstance(bias, str) else exact_text(bias)
    return Slot(query_of(config), {name: raw[name] for name in FIELDS} | {"forget_bias": text})


def key(n: int, field: str) -> str:
    """Of the control of a field in the n-th slot."""
    return f"{ids.COMPARE.prefix}{n}-{field}"


def slots(rows: Sequence[str], raw: Mapping[str, Any]) -> list[Slot]:
    """The slots in use. raw: by number and field, "0-gain"."""
    return [Slot(query, {name: raw.get(f"{n}-{name}") for name in FIELDS}) for n, query in enumerate(rows)]


def values(used: Sequence[Slot]) -> dict[str, Any]:
    """Key of every control of a slot in use -> its value."""
    return {key(n, name): value for n, slot in enumerate(used) for name, value in slot.raw.items()}


def parts(n: int) -> dict[str, str]:
    """Ids of the n-th slot and what is in it."""
    page, place = ids.COMPARE, str(n)
    names = {"slot": page.slot, "name": page.name, "explore": page.explore, "train": page.train, "remove": page.remove}
    return {name: ids.part(component, place) for name, component in names.items()}
