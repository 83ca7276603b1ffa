"""Every component id, once."""

from typing import Any

# Shell
PROVIDER = "provider"
PATH = "path"  # of the address
PAGE = "page"
NAVIGATION = "navigation"
THEME_TOGGLE = "theme-toggle"
HELP_OPEN = "help-open"
HELP = "help"
HELP_TEXT = "help-text"

# Explore: state
SEARCH = "search"  # the query of the address, as it was opened or gone back to
REQUEST = "request"  # what is to be drawn: {"raw", "pins", "theme", "narrow"}
SETTLED = "settled"  # the last request that a person let go of
DRAWN = "drawn"  # {"request": what was drawn, "strip": its boxes, "props": what the rest of the page looks like}
LOADED = "loaded"  # counts what came from a link, a preset or a file, as opposed to a hand on a control
PINS = "pins"

# Explore: controls
CONTROLS = "controls"
SHEET = "sheet-toggle"
PRESET = "preset"
RESET = "reset"
MORE = "more"
REALISED = "realised"
REROLL = "reroll"
HINT = "hint"
HINT_CLOSE = "hint-close"
PIN_LIST = "pin-list"

# Explore: stage
VERDICT = "verdict"
DETAILS = "details"
ANNOUNCEMENT = "announcement"
NOTICES = "notices"
MISSING = "missing"
FAILURE = "failure"
RUN_BAR = "run-bar"
RUN = "run"
RUN_TEXT = "run-text"
STRIP = "strip"
STAGE = "stage"
FIGURE = "figure"
FIGURE_FRAME = "figure-frame"
NOTE = "note"
THEORY = "theory"
THEORY_WHERE = "theory-where"
THEORY_LINE = "theory-line"
CARD = "card"
TRIED = "tried"  # the remedy that was tried last: {"query", "label", "predicted"}
WHY = "why"
TABS = "tabs"
TABLE_TOGGLE = "table-toggle"
TABLE = "table"

# Explore: actions
PIN = "pin"
TRAIN_THIS = "train-this"
COPY_LINK = "copy-link"  # on Train with its prefix, as all that both pages have
COPY_PYTHON = "copy-python"
COPY_COMMAND = "copy-command"
COPIES = "copies"  # the texts that those three copy
ADDRESS = "address"  # the query that the address bar should show
COPIED = "copied"
DOWNLOAD = "download"
FORMATS = ("nc", "csv", "html", "png")


# Phase
PHASE_SEARCH = "phase-search"  # the query of the address, as it was opened or gone back to
PHASE_BASE = "phase-base"  # the same in full: the run of which the controls change a part
PHASE_REQUEST = "phase-request"
PHASE_SETTLED = "phase-settled"
PHASE_DRAWN = "phase-drawn"  # {"address": the query of what is shown, "axes": field and step of the map's axes}
PHASE_ACTIVATION = "phase-activation"
PHASE_AXES = "phase-axes"
PHASE_VERDICT = "phase-verdict"
PHASE_DETAILS = "phase-details"
PHASE_WHERE = "phase-where"
PHASE_OPEN = "phase-open"
PHASE_NOTICES = "phase-notices"
PHASE_FAILURE = "phase-failure"
PHASE_FIGURE = "phase-figure"
PHASE_FRAME = "phase-frame"
PHASE_TABLE = "phase-table"

# Train
TRAIN_SEARCH = "train-search"  # the query of the address, as it was opened or gone back to
TRAIN_REST = "train-rest"  # what of it belongs to other pages
TRAIN_RUNS = "train-runs"  # ids of the runs on the page
TRAIN_REQUEST = "train-request"
TRAIN_SETTLED = "train-settled"
TRAIN_DRAWN = "train-drawn"  # {"props": looks of the controls, "look": theme and width}
TRAIN_LOOK = "train-look"
TRAIN_ADDRESS = "train-address"
TRAIN_COPIES = "train-copies"
TRAIN_SHOWN = "train-shown"  # {"stamp": what the figures show, "last": snapshot, "runs", "more": whether to ask again}
TRAIN_TICK = "train-tick"  # changes when the page asks how its runs stand
TRAIN_POKE = "train-poke"  # changes where a button has changed how a run stands
TRAIN_STAGE = "train-stage"
TRAIN_MORE = "train-more"
TRAIN_EXAMPLE = "train-example"
TRAIN_RECENT = "train-recent"
TRAIN_VERDICT = "train-verdict"
TRAIN_DETAILS = "train-details"
TRAIN_NOTICES = "train-notices"
TRAIN_FAILURE = "train-failure"
TRAIN_TROUBLE = "train-trouble"  # what went wrong with the runs themselves
TRAIN_ONE = "train-one"
TRAIN_CELLS = "train-cells"
TRAIN_CLIPS = "train-clips"
TRAIN_PAUSE = "train-pause"
TRAIN_RESUME = "train-resume"
TRAIN_STOP = "train-stop"
TRAIN_SHARE = "train-share"
TRAIN_COURSE = "train-course"
TRAIN_COURSE_FRAME = "train-course-frame"
TRAIN_PREVIEW = "train-preview"  # what the set-up is about, before anything is trained
TRAIN_LAYER = "train-layer"
TRAIN_BACK = "train-back"  # the slider back through training
TRAIN_WHEN = "train-when"
TRAIN_FLOW = "train-flow"
TRAIN_FLOW_FRAME = "train-flow-frame"
TRAIN_FLOW_TABLE = "train-flow-table"
TRAIN_FLOW_VERDICT = "train-flow-verdict"
TRAIN_CARD = "train-card"
TRAIN_ADVICE = "train-advice"
TRAIN_ADVICE_BUTTONS = "train-advice-buttons"
TRAIN_CHECK = "train-check"
TRAIN_USE = "train-use"
TRAIN_EFFECT = "train-effect"
TRAIN_TABLE = "train-table"
TRAIN_DOWNLOAD = "train-download"
TRAIN_COPIED = "train-copied"


def train_example(name: str) -> str:
    """The button of an example."""
    return f"train-example-{name}"


def field(name: str) -> str:
    """The block of a field: label, control, message."""
    return f"field-{name}"


def control(key: str) -> str:
    """The component that holds a value; `key` is a field's name or that of its word."""
    return f"control-{key}"


def word(name: str) -> str:
    """The key of the switch that sets a numeric field to a word instead."""
    return f"{name}-word"


def slider(name: str) -> str:
    """The slider beside a numeric field."""
    return f"slider-{name}"


def upload(name: str) -> str:
    """Where a file for the field is dropped; `name` may be MISSING."""
    return f"upload-{name}"


def upload_message(name: str) -> str:
    """What became of the file dropped there."""
    return f"upload-message-{name}"


def panel(tab: str) -> str:
    """What a tab shows."""
    return f"panel-{tab}"


def chip(preset: str) -> str:
    """The button of a preset."""
    return f"chip-{preset}"


def download(fmt: str) -> str:
    """The menu entry that downloads a format."""
    return f"download-{fmt}"


def try_remedy(index: Any) -> dict[str, Any]:
    """The button that applies a remedy of the diagnosis."""
    return {"type": "try", "index": index}


def unpin(query: Any) -> dict[str, Any]:
    """The button that removes a pin."""
    return {"type": "unpin", "query": query}


def reopen(query: Any) -> dict[str, Any]:
    """The button that puts a pin back into the controls."""
    return {"type": "reopen", "query": query}


# Explore: work that a tab does on demand
def work(tab: str, part: str) -> str:
    """A part of the frame around it: start, offer, cancel, share, pace, outcome, body, run, tick."""
    return f"{tab}-work-{part}"


def phase_role(sigma: str) -> str:
    """What a scale is on the map: along which axis, or held."""
    return f"phase-role-{sigma}"
