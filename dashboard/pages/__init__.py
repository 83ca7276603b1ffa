"""The pages that exist, in the order of the navigation. Each has PATH, LABEL, layout() and register(app)."""

from . import explore

PAGES = (explore,)
