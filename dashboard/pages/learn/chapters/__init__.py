"""The chapters in their order, one file each."""

from ..chapter import Chapter
from . import activation, blame, clipping, edge, gate, learning, others, product, start, state, truncation

_ORDER = (state, blame, product, activation, start, gate, clipping, truncation, edge, learning, others)
CHAPTERS: tuple[Chapter, ...] = tuple(module.CHAPTER for module in _ORDER)
BY_SLUG = {chapter.slug: chapter for chapter in CHAPTERS}
