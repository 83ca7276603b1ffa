"""The address of Compare: what it says is read back, and what of it cannot be used is named."""

from typing import Any
from urllib.parse import parse_qsl, urlencode

import pytest

from dashboard.pages.compare import address, examples
from dashboard.pages.compare.slots import slot
from gradlab.config.links import query_of, to_query
from gradlab.data.uploads import find, store
from gradlab.runs.comparison import MOST

from ..views import SMALL

LSTM = SMALL.replace(cell="lstm", forget_bias=1.0)
GRU = SMALL.replace(cell="gru")


def test_an_address_says_the_same_again() -> None:
    view = address.View((SMALL, LSTM, GRU), 3, "parameters", "gain=2&pin=gain%3D3")
    again, notices = address.read(view.address)
    assert (again, notices) == (view, [])
    plain = address.View((SMALL,))
    assert address.read(plain.address)[0].runs == (SMALL,)
    assert "equal" not in plain.address and "seeds" not in plain.address


def test_explores_address_is_its_run_with_its_pins() -> None:
    view, notices = address.read(f"?{to_query(SMALL, [LSTM, GRU])}")
    assert view.runs == (SMALL, LSTM, GRU) and not notices
    assert dict(parse_qsl(view.address[1:]))["hidden_size"] == "8"  # travels on to the other pages


@pytest.mark.parametrize("search", ["", "?", "?v=1", "?seeds=8"])
def test_an_empty_address_is_the_first_example(search: str) -> None:
    assert address.read(search)[0].runs == examples.FIRST


@pytest.mark.parametrize(
    ("pairs", "text"),
    [
        ([("run", query_of(SMALL.replace(seed=n))) for n in range(9)], "This link has 9 runs; the first 6 are shown."),
        ([("run", "gain=2&oops=1")], "Ignored: unknown field 'oops'"),
        ([("run", "gain=many")], "Ignored gain: expected a number, got 'many'"),
        (
            [("run", "file=co2.csv&sha=0123456789ab"), ("run", "")],
            "A run is left out: it uses co2.csv, which is not here.",
        ),
        ([("file", "co2.csv"), ("sha", "0123456789ab")], "The run is left out: it uses co2.csv, which is not here."),
        ([("run", ""), ("equal", "size")], "Ignored equal: expected hidden size or parameters, got 'size'"),
        ([("run", ""), ("seeds", "0")], "Ignored seeds: expected a whole number from 1 to 64, got '0'"),
        ([("run", ""), ("seeds", "²")], "Ignored seeds: expected a whole number from 1 to 64, got '²'"),
        ([("run", ""), ("seeds", "9" * 5000)], "Ignored seeds: expected a whole number from 1 to 64, got '999"),
        ([("run", ""), ("gain", "much")], "Ignored gain: expected a number, got 'much'"),
    ],
)
def test_what_a_link_says_wrong_is_named(own_cache: Any, pairs: list[tuple[str, str]], text: str) -> None:
    view, notices = address.read(f"?{urlencode(pairs)}")
    assert len(notices) == 1 and notices[0].startswith(text)
    assert 1 <= len(view.runs) <= MOST and view.seeds == 8 and view.equal == "hidden size"


def test_a_file_travels_with_its_run(own_cache: Any) -> None:
    sha = store("a.csv", b"a,b\n1,2\n2,4\n3,1\n9,5\n")
    (run,) = address.read(f"?{urlencode([('run', f'file=a.csv&sha={sha}&steps=3&batch_size=1')])}")[0].runs
    assert address.read(address.View((run,)).address)[0].runs == (run,)
    assert slot(run).form.config == run


def test_a_run_whose_file_has_gone_meanwhile_says_so(own_cache: Any) -> None:
    sha = store("wind.csv", b"wind\n" + b"1\n2\n4\n" * 40)
    run = slot(SMALL.replace(input=str(find(sha, "wind.csv"))))
    assert run.form.errors == {}
    path = find(sha, "wind.csv")
    assert path
    path.unlink()
    assert run.form.errors["input"] == "wind.csv is no longer kept; drop it again in Explore"
