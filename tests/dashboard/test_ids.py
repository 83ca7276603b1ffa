"""Ids are declared once, used, and the same in Python and in the browser; answers go to outputs that there are."""

import ast
import re
from pathlib import Path

import pytest
from dash import Output, no_update

import dashboard
from dashboard import controls, ids, server
from dashboard.answers import answer, outputs
from dashboard.ids import Ids

from ..views import parts

ROOT = Path(dashboard.__file__).parent
PAGES = {name: value for name, value in vars(ids).items() if isinstance(value, Ids)}
SCRIPTS = sorted((ROOT / "assets").glob("*.js"))
FAMILIES = {whole.args[0] for whole in (ids.field, ids.control, ids.slider, ids.upload, ids.upload_message)}


def known(pages=PAGES):
    return {getattr(page, name) for page in pages.values() for name in page.names}


def named_in(path):
    """(page, name) of every `PAGE.name`, and of the words in `outputs(PAGE, ...)`; "page" stands for any."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Attribute):
            yield last(node.value), node.attr
        elif isinstance(node, ast.Call) and last(node.func) == "outputs":
            words = [word for keyword in node.keywords for word in keyword.value.value.split()]
            yield from ((last(node.args[0]), word) for word in words)


def last(node):
    """The last name of a dotted one."""
    return getattr(node, "attr", getattr(node, "id", ""))


# in Python


def test_a_name_that_is_not_declared_is_refused():
    assert ids.TRAIN.flow_verdict == "train-flow-verdict" and ids.EXPLORE.sheet_toggle == "sheet-toggle"
    with pytest.raises(AttributeError, match="no id 'serach' under 'train-'; dashboard/ids.py declares them"):
        ids.TRAIN.serach  # noqa: B018
    with pytest.raises(AttributeError, match="no id 'share' under 'phase-'"):
        outputs(ids.PHASE, children="share")


def test_no_id_is_declared_twice():
    declared = [getattr(page, name) for page in PAGES.values() for name in page.names]
    assert len(declared) == len(set(declared)) > 100


def test_every_id_is_used():
    used = {name for path in ROOT.rglob("*.py") for name in named_in(path)}
    for title, page in PAGES.items():
        assert not [name for name in page.names if not {(title, name), ("page", name)} & used], title


# in the browser


def named_in_script(script, own=("",)):
    """Ids that a script names: as they are, and after the prefixes of its pages."""
    forms = (
        r'(?:byId|getElementById|setProps|set_props)\(\s*"([\w-]+)"',
        r'querySelector(?:All)?\("#([\w-]+)',
        r'prop_id === "([\w-]+)\.',
        r'["`]#?((?:compare|train|phase)-\w[\w-]*)',
    )
    whole = {name for form in forms for name in re.findall(form, script)}
    ends = re.findall(r'\bpage \+ "([\w-]+)"', script) + re.findall(r'\brest(?:\.|\[")([\w-]+)', script)
    return whole | {f"{prefix}{name}" for prefix in own for name in ends}


def prefixes(path):
    """Of the pages that a script is for: its own, or all that are drawn."""
    own = PAGES.get(path.stem.upper())
    return [page.prefix for page in ([own] if own else PAGES.values()) if own or page is not ids.SHELL]


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_names_ids_that_there_are(path):
    script = path.read_text("utf-8")
    assert named_in_script(script, prefixes(path)) <= known()
    families = re.findall(r'"(\w+)-" \+', script) + re.findall(r"`(\w+)-\$\{", script)
    assert set(families) <= FAMILIES


def test_the_ids_of_scripts_are_found():
    found = set().union(*(named_in_script(path.read_text("utf-8"), prefixes(path)) for path in SCRIPTS))
    drawn = {f"{prefix}{name}" for prefix in ("", "train-", "phase-") for name in ("search", "request", "settled")}
    assert found >= drawn | {"strip", "hint", "controls", "theory-line", "train-runs", "train-tick", "phase-figure"}
    assert named_in_script('byId("strpi"); setProps("train-tikc", {}); page + "serach"', ["phase-"]) == {
        "strpi",
        "train-tikc",
        "phase-serach",
    }


def test_the_browser_is_told_the_largest_file():
    zones = [part for part in parts(controls.more(), "Div") if getattr(part, "className", "") == "dropzone"]
    limits = [zone.to_plotly_json()["props"]["data-limit"] for zone in zones]
    assert limits == [server.UPLOAD_LIMIT] * 2
    script = (ROOT / "assets" / "uploads.js").read_text("utf-8")
    assert "dataset.limit" in script and "16" not in script


# answers


def test_what_is_not_changed_stays():
    places = outputs(ids.TRAIN, children="verdict", data="runs") | {"values": outputs(ids.TRAIN, value="share layer")}
    assert places["runs"] == Output("train-runs", "data")
    assert answer(places, {"runs": [], "values": {"share": 0}}) == {
        "verdict": no_update,
        "runs": [],
        "values": {"share": 0, "layer": no_update},
    }


@pytest.mark.parametrize("changes", [{"run": []}, {"values": {"run": []}}])
def test_a_change_of_what_is_no_output_is_refused(changes):
    places = outputs(ids.TRAIN, data="runs") | {"values": outputs(ids.TRAIN, value="share")}
    with pytest.raises(KeyError, match="no outputs: run; the callback has (runs, values|share)"):
        answer(places, changes)
