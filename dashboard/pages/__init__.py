"""The pages that exist, in the order of the navigation.

Each has PATH, LABEL, HELP (heading -> text of "How to read this page"), layout() and register(app).
"""

from . import explore, phase, train

PAGES = (explore, phase, train)
