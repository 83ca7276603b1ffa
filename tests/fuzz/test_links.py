"""Whatever an address says: a page, and a sentence on what of it was left out."""

import shlex
from typing import Any
from urllib.parse import urlencode

import pytest
from flask.testing import FlaskClient
from hypothesis import example, given
from hypothesis import strategies as st

from dashboard import form, ids
from dashboard.pages.compare import address as compare
from dashboard.pages.compare.slots import slot
from dashboard.pages.phase import draw as phase
from dashboard.pages.train import address as train
from gradlab.config import Config, RunConfig
from gradlab.config.links import from_query, to_command, to_python, to_query
from gradlab.data.uploads import store

from ..views import SMALL
from .examples import bounded, fuzzed, is_sentence
from .posting import CALLBACKS, LOOK, TRAIN, calls, post, send
from .values import KINDS, ODD, TEXTS, value

pytestmark = pytest.mark.usefixtures("alone")
TABLE = b"a,b\n1,2\n2,4\n3,1\n"
OTHERS = {
    "v": ["1", "2", ""],
    "file": ["a.csv", "../a", "\x1b"],
    "sha": [store.__name__, "0" * 12],
    "weights_sha": ["0" * 12, "*"],
    "run": ["0000aaaa", "../x", ""],
    "axes": ["w-b", "b-b", ""],
    "from": ["explore", ""],
    "equal": ["parameters", "sizes", ""],
    "seeds": ["3", "-1", "9" * 30, ""],
    "input": ["sine", "/etc/passwd", "a.csv"],
    "weights": ["a.safetensors"],
}
PIECES = ["%", "%zz", "%00", "%ff", "%u0041", "+", "&", "&&", "=", "==", ";", "#", "?", "\u00e9", "\udcff", "\x00"]
PIECES += ["pin=pin%3Dpin"]
PAGES = [ids.EXPLORE.search, ids.COMPARE.search, ids.PHASE.search, ids.TRAIN.search]


def pair(kind: type[Config]) -> st.SearchStrategy[tuple[str, str]]:
    """A field with a value, which mostly fits; or something else that links have."""
    fields = st.sampled_from([name for name in kind.model_fields if name not in OTHERS])
    fits = fields.flatmap(lambda name: st.tuples(st.just(name), value(name, kind).map(str)))
    odd = st.tuples(fields | st.sampled_from(["self", "", "x" * 3000, "a\nb"]), ODD.map(str))
    other = st.sampled_from(sorted(OTHERS)).flatmap(
        lambda name: st.tuples(st.just(name), st.sampled_from(OTHERS[name]))
    )
    return st.one_of(fits, fits, odd, other)


@st.composite
def queries(draw: Any, pins: int = 2) -> str:
    """A query, with pinned and compared ones in it, that may have been damaged on its way."""
    pairs = draw(st.lists(KINDS.flatmap(pair), max_size=6))
    inside = draw(st.sampled_from(["pin", "pin", "run"]))
    pairs += [(inside, draw(queries(0))) for _ in range(draw(st.integers(0, pins)))] * draw(st.sampled_from([1, 1, 9]))
    text = urlencode(pairs, errors="surrogatepass")
    for _ in range(draw(st.sampled_from([0, 0, 1, 4]))):
        at, piece = draw(st.integers(0, len(text))), draw(st.sampled_from(PIECES) | st.sampled_from(TEXTS))
        text = text[:at] + piece + text[at:]
    return draw(st.sampled_from(["", "?"])) + text


@fuzzed("links")
@given(queries(), KINDS)
@example("&".join(f"f{n}=1" for n in range(500)), RunConfig)
@example("column=%ff&gain=%00&pin=column%3D%25ff", RunConfig)
def test_a_link_means_a_configuration(query: str, kind: type[Config]) -> None:
    with bounded():
        sha = store("a.csv", TABLE)
        link = from_query(query.replace(store.__name__, sha), kind)
        again = from_query(to_query(link.config, link.pins), kind)
        assert (again.config, again.pins, again.notices) == (link.config, link.pins, [])
        compile(to_python(link.config), "run.py", "exec")
        assert all(map(is_sentence, link.notices)) and shlex.split(to_command(link.config))[0] == "gradlab"
        text = sendable(query)
        view, notices = phase.read(text)
        found = train.read(text)
        assert all(map(is_sentence, [*notices, *found.notices])) and (view.address + found.query).isascii()
        assert phase.read(view.address)[0] == view
        compared, notices = compare.read(text)
        assert all(map(is_sentence, notices)) and compared.address.isascii()
        assert compare.read(compared.address)[0].runs == compared.runs
        assert all(one.form.config == run or one.form.errors for run in compared.runs for one in [slot(run)])


def sendable(query: str) -> str:
    """As a browser sends it, which has no lone surrogates."""
    return query.encode("utf-8", "replace").decode()


@fuzzed("pages")
@given(queries(), st.sampled_from(PAGES))
def test_an_address_is_a_page(client: FlaskClient, query: str, page: str) -> None:
    sha = store("a.csv", TABLE)
    text = sendable(query).replace(store.__name__, sha)
    posted = calls(page, text)
    assert posted
    with bounded(20):
        for body in [*posted, *settled(text)]:
            answer = send(client, body)
            assert answer.status_code == (200 if len(text) <= 20_000 else 400), answer.text
        for path in ("/", "/compare", "/phase", "/train"):
            assert client.get(path, query_string=text).status_code == 200


def settled(query: str) -> list[dict[str, Any]]:
    """What Explore and Train post when what the address said is on the page."""
    found = []
    for name, config, more in ((ids.EXPLORE.settled, SMALL, {"pins": [query]}), (ids.TRAIN.settled, TRAIN, {})):
        for output, known in CALLBACKS.items():
            if [declared["id"] for declared in known["inputs"]] == [name]:
                body = post(output)
                body["inputs"][0]["value"] |= {"raw": form.raw(config), "search": query, **LOOK, **more}
                found.append(body)
    return found
