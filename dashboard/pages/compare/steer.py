"""What sets the runs of Compare: the address, an example, a preset that is added, a run that is taken out."""

from dataclasses import dataclass
from typing import Annotated, Any

from dash import Dash, Input, Output, State, ctx
from pydantic import Field

from gradlab.config.presets import PRESETS
from gradlab.runs.comparison import MOST

from ... import ids
from ...answers import answer, outputs
from ...components import message
from ...posts import Clicks, Raw, Text
from . import address
from .examples import EXAMPLES
from .slots import FIELDS, PLACES, Slot, key, parts, slot, slots, values

Rows = Annotated[list[Text], Field(max_length=MOST)]
FULL = f"{MOST} runs at most; take one out first."


@dataclass(frozen=True)
class CompareState:
    """What steering starts from: the runs with the values of their fields, the address, the preset to be added."""

    rows: Rows | None
    raw: Raw
    search: Text | None
    preset: Text | None

    @property
    def slots(self) -> list[Slot]:
        """Those in use."""
        return slots(self.rows or (), self.raw)


def follow_link(search: str) -> dict[str, Any]:
    """Runs, switches and notices of an address."""
    view, notices = address.read(search)
    switches = {"equal": view.equal, "seeds": view.seeds, "along": view.along}
    return show([slot(run) for run in view.runs]) | switches | {"notices": [message(text) for text in notices]}


def show(used: list[Slot]) -> dict[str, Any]:
    """These runs, and no message of earlier ones."""
    return {"rows": [slot.query for slot in used], "values": values(used), "notices": []}


def add(page: CompareState) -> dict[str, Any]:
    """One more run, from a preset."""
    if len(page.slots) >= MOST:
        return {"notices": [message(FULL)]}
    return show([*page.slots, slot(PRESETS[page.preset or next(iter(PRESETS))].config())])


def remove(n: int, page: CompareState) -> dict[str, Any]:
    """One run less; the last one stays."""
    used = page.slots
    return show(used[:n] + used[n + 1 :]) if len(used) > 1 else {"notices": [message("The last run stays.")]}


def steer(
    search: Text | None, clicks: dict[Text, Clicks], rows: Rows | None, raw: Raw, preset: Text | None
) -> dict[str, Any]:
    """The callback: who asked, and what follows."""
    page, trigger = CompareState(rows, raw, search, preset), ctx.triggered_id
    removes = {parts(n)["remove"]: n for n in PLACES}
    chosen = {ids.part(ids.COMPARE.example, name): example for name, example in EXAMPLES.items()}
    changes: dict[str, Any] = {}
    if trigger == ids.COMPARE.search:
        changes = follow_link(search or "")
    elif not clicks.get(str(trigger)):
        pass
    elif trigger in chosen:
        changes = show([slot(run) for run in chosen[trigger].runs]) | {"notices": [message(chosen[trigger].text)]}
    elif trigger == ids.COMPARE.add:
        changes = add(page)
    elif trigger in removes:
        changes = remove(removes[trigger], page)
    return answer(OUTPUTS, changes)


OUTPUTS = {
    **outputs(ids.COMPARE, data="rows along", value="equal seeds", children="notices"),
    "values": {key(n, name): Output(ids.control(key(n, name)), "value") for n in PLACES for name in FIELDS},
}


def register(app: Dash) -> None:
    """What sets the runs."""
    buttons = [ids.COMPARE.add, *(ids.part(ids.COMPARE.example, name) for name in EXAMPLES)]
    buttons += [parts(n)["remove"] for n in PLACES]
    inputs = {
        "search": Input(ids.COMPARE.search, "data"),
        "clicks": {name: Input(name, "n_clicks") for name in buttons},
        "rows": State(ids.COMPARE.rows, "data"),
        "raw": {f"{n}-{name}": State(ids.control(key(n, name)), "value") for n in PLACES for name in FIELDS},
        "preset": State(ids.COMPARE.preset, "value"),
    }
    app.callback(output=OUTPUTS, inputs=inputs, prevent_initial_call=True)(steer)
