"""The pages that exist, one package each, in the order of the navigation.

The module `page` of each has PATH, LABEL, HELP (heading -> text of "How to read this page"), STAYS (what of its address
no other page understands), layout() and register(app).
"""

from importlib import import_module

PAGES = tuple(import_module(f"{__name__}.{name}.page") for name in ("learn", "explore", "compare", "phase", "train"))
