"""docs/claims.md has a row for all that is claimed; its tests, sources, links, quotations and figures are right."""

import re
from collections.abc import Iterable
from pathlib import Path

import pytest

from gradlab import theory
from gradlab.diagnosis import Diagnosis
from gradlab.diagnosis.remedies import _Case
from gradlab.quantities import QUANTITIES
from gradlab.training.history import COLUMNS
from gradlab.training.outcome import outcome
from studies.calibration.tables import WORDS

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
HEAD = ["claim", "definition", "source", "error", "checked by", "limits"]
ERRORS = ("rounding", "bound", "standard error", "definition", "none")
OUTCOMES = ("solved", "learnt", "matched", "memorised", "nothing", "untested", "diverged", "broke")
ROOMS = ("engine", "products", "quantities", "theory", "diagnosis", "learning", "training")
SURNAMES = r"(?:[A-Z][\w'-]+(?:, | & ))*[A-Z][\w'-]+(?: et al\.)?"
CITED = re.compile(rf"({SURNAMES}) \(?((?:19|20)\d\d)\b")
TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
LINK = re.compile(r"\[[^]]*\]\(([^)#]*)(?:#([^)]*))?\)")
QUOTED = re.compile(r'"([^"]+)" \(\[[^]]*\]\(([^)#]+)')


def in_one_line(text: str) -> str:
    """The text of a file, as if no line were broken."""
    return re.sub(r"\s+(?:# )?", " ", text)


def code(*rooms: str) -> str:
    """All of the code of these rooms, or of all."""
    files = [file for room in rooms or ("",) for file in sorted((ROOT / "gradlab" / room).rglob("*.py"))]
    return " ".join(in_one_line(file.read_text("utf-8")) for file in files)


PAGE = (DOCS / "claims.md").read_text("utf-8")
TABLE = [[cell.strip() for cell in line[1:-1].split("|")] for line in PAGE.splitlines() if line.startswith("|")]
ROWS = [row for row in TABLE if row != HEAD and set("".join(row)) != {"-"}]
CLAIMED = {name for row in ROWS for name in re.findall(r"`(\w+)`|\*\*([\w ]+)\*\*", row[0]) for name in name if name}
PROPOSED = "Proposal | None"  # what every kind of remedy returns
REMEDIES = [
    name for name, made in vars(_Case).items() if getattr(made, "__annotations__", {}).get("return") == PROPOSED
]


def test_every_row_has_all_columns_a_kind_of_error_and_a_test() -> None:
    assert [row for row in TABLE if len(row) != len(HEAD) or not all(row)] == []
    assert [row[0] for row in ROWS if not row[3].startswith(ERRORS)] == []
    assert [row[0] for row in ROWS if not TEST.search(row[4]) and not row[4].startswith("not checked")] == []


@pytest.mark.parametrize(
    "names",
    [
        QUANTITIES,
        WORDS,
        OUTCOMES,
        REMEDIES,
        theory.WHERE,
        set(theory.__all__) - {"WHERE", "Where", "Prediction"},
        COLUMNS,
    ],
    ids=["quantities", "words", "outcomes", "remedies", "predictions", "theory", "training"],
)
def test_everything_has_a_row(names: Iterable[str]) -> None:
    assert len([*names]) > 4 and set(names) - CLAIMED == set()


def test_the_words_and_outcomes_are_those_that_are_said() -> None:
    assert set(WORDS) == set(
        re.findall(r"refined: (.*?)\. stderr", in_one_line(Diagnosis.__doc__ or ""))[0].split(", ")
    )
    assert set(OUTCOMES) == set(re.findall(r'"(\w+)"', (outcome.__doc__ or "").splitlines()[0]))


def test_the_tests_are_there() -> None:
    named = TEST.findall(PAGE)
    missing = [(file, name) for file, name in named if f"def {name}(" not in (ROOT / file).read_text("utf-8")]
    assert missing == [] and len(named) > 150


def test_sources_are_those_of_the_code() -> None:
    """As the code names them, with section and equation; and none of the rooms of numbers is left out."""
    text, named = code(), {part for row in ROWS for part in row[2].split("; ") if part != "-"}
    assert {source for source in named if source not in text} == set()
    cited = {" ".join(source) for source in CITED.findall(code(*ROOMS))}
    assert {source for source in cited if source not in PAGE} == set() and len(cited) > 20


def test_links_lead_somewhere() -> None:
    for path, anchor in LINK.findall(in_one_line(PAGE)):
        text = (DOCS / path).read_text("utf-8")
        assert not anchor or anchor in {slug(title) for title in re.findall("^#+ (.*)", text, re.MULTILINE)}, anchor


def slug(title: str) -> str:
    """The anchor of a heading, as GitHub has it."""
    return re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")


def test_what_is_quoted_stands_there() -> None:
    quoted = QUOTED.findall(in_one_line(PAGE))
    for text, path in quoted:
        assert text in in_one_line((DOCS / path).read_text("utf-8")), f"{path} has other words or figures: {text}"
    assert len(quoted) >= 4


def test_the_coverage_of_lyapunov_errors_is_that_of_the_table() -> None:
    table = (DOCS / "numbers.md").read_text("utf-8")
    pairs = [(int(one), int(two)) for one, two in re.findall(r"(\d+) %, (\d+) % \|", table)]
    one, two = zip(*pairs, strict=True)
    within_one = f"{min(one)} to {max(one)} % of 40 runs each lie within one standard error"
    assert len(pairs) == 12 and f"{within_one}, {min(two)} to {max(two)} % within two" in in_one_line(PAGE)
