"""The chapters in their order, one file each."""

from ..chapter import Chapter
from . import activation, blame, clipping, edge, gate, others, product, start, state

_ORDER = (state, blame, product, activation, start, gate, clipping, edge, others)
CHAPTERS: tuple[Chapter, ...] = tuple(module.CHAPTER for module in _ORDER)
BY_SLUG = {chapter.slug: chapter for chapter in CHAPTERS}
