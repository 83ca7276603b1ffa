"""The processes that compute for the pages, so that the server's own has nothing to do but answer.

One lane for what is drawn while a hand moves, one for the cards that follow, and one for what takes long, which gives
way to both.
"""

from gradlab.runs.processes import Processes

_PRELOAD = ("dashboard.pages",)
LIVE = Processes(2, preload=_PRELOAD)
CARDS = Processes(1, nice=5, preload=_PRELOAD)
LONG = Processes(2, nice=10, preload=_PRELOAD)
LANES = (LIVE, CARDS, LONG)


def start() -> None:
    """Start all before anybody needs them."""
    for lane in LANES:
        lane.start()


def stop() -> None:
    """End them."""
    for lane in LANES:
        lane.stop()
