"""The chapters in their order, one file each."""

from ..chapter import Chapter
from . import activation, clipping, gate, product, start

CHAPTERS: tuple[Chapter, ...] = tuple(module.CHAPTER for module in (product, activation, start, gate, clipping))
BY_SLUG = {chapter.slug: chapter for chapter in CHAPTERS}
