"""Every component id, once."""

from functools import partial
from typing import Any


class Ids:
    """Ids that share a prefix, one attribute each: "copy_link" under the prefix "train-" is "train-copy-link".

    names: words. An attribute that is not among them is an AttributeError.
    """

    def __init__(self, prefix: str, *names: str) -> None:
        self.prefix = prefix
        self.names = " ".join(names).split()
        vars(self).update({name: prefix + name.replace("_", "-") for name in self.names})

    def __getattr__(self, name: str) -> str:
        raise AttributeError(f"no id '{name}' under '{vars(self).get('prefix')}'; dashboard/ids.py declares them")


SHELL = Ids("", "provider path page navigation theme_toggle help_open help help_text")

DRAWING = (  # what every page has: the stores of assets/drawing.js, the words, the places of messages
    "search",  # the query of the address, as it was opened or gone back to
    "request",  # what is to be drawn
    "settled",  # the last request that a person let go of
    "drawn",  # what has been drawn, and what the rest of the page looks like
    "verdict details notices failure",
)
RUN_CARD = (
    "address",  # the query that the address bar should show
    "copies",  # the texts that the copy buttons copy, by their ids
    "copy_link copy_python copy_command copied download",
)
EXPLORE = Ids(
    "",
    *DRAWING,
    *RUN_CARD,
    "pins",
    "loaded",  # counts what came from a link, a preset or a file, as opposed to a hand on a control
    "pressed",  # the last button that comes and goes, by its id
    "tried",  # the remedy that was tried last: {"query", "label", "predicted"}
    "controls sheet_toggle preset reset chip more realised reroll hint hint_close pin_list",
    "stage strip group figure note card why tabs panel table table_toggle pin train_this compare",
    "announcement missing run cancel run_bar run_text theory theory_where theory_line",
)
PHASE = Ids(
    "phase-",
    *DRAWING,
    "base",  # the address in full: the run of which the controls change a part
    "activation axes role figure table where open",
)
COMPARE = Ids(
    "compare-",
    *DRAWING,
    *RUN_CARD,
    "rows",  # queries of the runs, to which the fields of their slots are added
    "along",  # what of the address belongs to other pages
    "sort",  # by which column the table is ordered
    "tick",  # changes when the page asks what has come
    "example preset add equal seeds slot name explore train remove",
    "stage figure ranking columns share progress table announcement by",
)
TRAIN = Ids(
    "train-",
    *DRAWING,
    *RUN_CARD,
    "runs",  # ids of the runs on the page
    "rest",  # what of the address belongs to other pages
    "look",  # theme and width that the figures are drawn for
    "shown",  # {"stamp": what the figures show, "last": snapshot, "runs", "more": whether to ask again}
    "tick",  # changes when the page asks how its runs stand
    "poke",  # changes where a button has changed how a run stands
    "example more reroll recent one cells clips pause resume stop share",
    "stage preview trouble course table layer back when flow flow_table flow_verdict",
    "card advice advice_buttons check use effect",
)
LEARN = Ids(
    "learn-",
    *DRAWING,
    "opened",  # the open chapter and what each position of its marker means; None while all are listed
    "guesses",  # the reader's, by chapter, kept in the browser
    "whole text body question figure marker guess said show judged seen controls explore table ways index",
)


def work(tab: str) -> Ids:
    """The frame around work that a tab does on demand."""
    return Ids(f"{tab}-work-", "run tick outcome offer start offer_text progress share pace cancel body")


def part(whole: str, name: str) -> str:
    """One of several that belong together: a control of a field, a download in a format, the frame of a figure."""
    return f"{whole}-{name}"


field = partial(part, "field")  # the block of a field: label, control, message
control = partial(part, "control")  # what holds a value, by the field's name or that of its word
slider = partial(part, "slider")  # beside a numeric field
upload = partial(part, "upload")  # where a file for the field is dropped; also for EXPLORE.missing
upload_message = partial(part, "upload-message")  # what became of that file


def word(name: str) -> str:
    """The key of the switch that sets a numeric field to a word instead."""
    return part(name, "word")


def button(kind: str, key: str, value: Any) -> dict[str, Any]:
    """A button that comes and goes, with what it acts on."""
    return {"type": kind, key: value}


try_remedy = partial(button, "try", "index")  # applies a remedy of the diagnosis
unpin = partial(button, "unpin", "query")
learn_control = partial(button, "learn-control", "name")  # of a chapter
reopen = partial(button, "reopen", "query")  # puts a pin back into the controls
