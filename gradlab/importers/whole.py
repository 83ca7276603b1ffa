"""The network that a file of weights holds around one of its recurrent layers, as far as layers follow each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from ..errors import InputError
from ..layers import Bidirectional, Dense, Embedding, Ends, Last, Layer, LayerNorm, Recurrent
from .entries import ASSUMED, Block, Entry, Found, Gap, Params, ReadLayer, warn_of_guess
from .tensors import finite_array

EMBEDDING = "embedding"  # the layer of symbols' vectors
_NAMES: dict[type[Layer], str] = {Embedding: EMBEDDING, Dense: "dense", LayerNorm: "norm"}


@dataclass
class Whole:
    """Layers by name in the order in which data pass them: body, up to the last recurrent one, and head behind it.

    params: theirs, as of `Sequential(**body, **head)`. width: features of what the body gives. ends: whether that is
    of both directions. reverse: whether the input is read from its end. said: each layer in words. left: what the file
    holds besides, without telling where. cut: what stands next to the layers that gradlab does not run.
    others: recurrent layers of the file that are not among these.
    """

    body: dict[str, Layer] = field(default_factory=dict)
    head: dict[str, Layer] = field(default_factory=dict)
    params: Params = field(default_factory=dict)
    said: list[str] = field(default_factory=list)
    width: int = 0
    inputs: int = 0
    ends: bool = False
    reverse: bool = False
    assumed: str = ""
    left: list[str] = field(default_factory=list)
    cut: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)

    @property
    def vocabulary(self) -> int | None:
        """How many symbols have a vector; None where it takes numbers."""
        first = next(iter(self.body.values()))
        return first.vocabulary if isinstance(first, Embedding) else None

    @property
    def reader(self) -> Layer:
        """What makes one vector of all steps, as last states are: the last step, or that of each direction."""
        return Ends() if self.ends else Last()

    @property
    def description(self) -> str:
        """The recurrent layers in a few words: "GRU(3 -> 4, tanh) in both directions, then LSTM(8 -> 4, tanh)"."""
        words = [_words(layer) for layer in self.body.values() if isinstance(layer, Recurrent | Bidirectional)]
        return ", then ".join(words)

    @property
    def text(self) -> str:
        """Every layer, and what the weights do not tell."""
        said = f"; they {ASSUMED.format(self.assumed)}: no activation was given" if self.assumed else ""
        left = f"; left out, as the file does not tell their place: {', '.join(self.left)}" if self.left else ""
        cut = f"; left out, as gradlab has no such layer: {', '.join(self.cut)}" if self.cut else ""
        also = f"; the weights also hold {', '.join(self.others)}" if self.others else ""
        return "; ".join(self.said) + also + left + cut + said

    def warn(self) -> None:
        """Warn, the caller's caller, of what the weights do not tell."""
        if self.assumed:
            warn_of_guess(self.assumed, stacklevel=4)


def _words(layer: Recurrent | Bidirectional) -> str:
    if isinstance(layer, Bidirectional):
        return f"{layer.layer.cell!r} in both directions"
    return repr(layer.cell)


def chain(found: Found, prefix: str | None = None) -> list[Entry | Block]:
    """What belongs together around the first layer of a module: each item takes what the one before gives."""
    first = found.entry(prefix)
    at = next(i for i, item in enumerate(found.items) if item is first)
    return [*_before(found.items[:at], first.inputs), *_behind(found.items[at:], prefix)]


def _before(items: Sequence[Entry | Block | Gap], wanted: int) -> list[Block]:
    chosen: list[Block] = []
    for item in reversed(items):
        if not isinstance(item, Block) or item.outputs != wanted:
            break
        chosen.insert(0, item)
        wanted = item.inputs
    return chosen


def _behind(items: Sequence[Entry | Block | Gap], prefix: str | None) -> Iterator[Entry | Block]:
    """The first entry, and what follows it."""
    last, width = None, 0
    for item in items:
        if isinstance(item, Entry) and last is not None and last.pairs_with(item):
            width = {"concat": width + item.outputs, "sum": width}.get(item.merge or "", -1)  # which nothing takes
        elif isinstance(item, Gap) or (last is not None and not _follows(item, width, prefix)):
            return
        else:
            width = item.outputs
        yield item
        last = item if isinstance(item, Entry) else last


def _follows(item: Entry | Block, width: int, prefix: str | None) -> bool:
    """Whether an item, not the first, takes what comes; one that reads from the end would need it turned round."""
    if item.inputs != width:
        return False
    return isinstance(item, Block) or (item.of(prefix) and not item.reverse)


def whole(found: Found, prefix: str | None = None, activation: str | None = None, symbols: bool = False) -> Whole:
    """The network around the first layer of a module. symbols: whether an embedding in front is part of it.

    Raises InputError as `load_weights` does.
    """
    items = chain(found, prefix)
    if not symbols:
        items = [item for item in items if not (isinstance(item, Block) and isinstance(item.layer, Embedding))]
    made = Whole(inputs=items[0].inputs)
    placed = {item.name for item in chain(found, prefix) if isinstance(item, Block)}
    made.left = [name for name in found.beside if name not in placed]
    made.cut = _cut(found, items)
    made.others = [entry.text for entry in found.entries if all(entry is not item for item in items)]
    last = max(i for i, item in enumerate(items) if isinstance(item, Entry))
    for i, item in enumerate(items):
        if isinstance(item, Block):
            _add_block(made, item, made.body if i < last else made.head)
        elif not (i and _partner(items, i - 1)):
            _add_recurrent(made, item, _partner(items, i), activation)
    return made


def _cut(found: Found, items: Sequence[Entry | Block]) -> list[str]:
    """What stands in front of the layers and behind them, where that is no layer of gradlab."""
    places = [i for i, item in enumerate(found.items) if any(item is chosen for chosen in items)]
    ends = [found.items[i] for i in (places[0] - 1, places[-1] + 1) if 0 <= i < len(found.items)]
    return [end.what for end in ends if isinstance(end, Gap) and end.what]


def _partner(items: Sequence[Entry | Block], i: int) -> Entry | None:
    """The other direction of the layer whose forward one is at i."""
    first, second = (*items[i : i + 2], None)[:2]
    pair = isinstance(first, Entry) and isinstance(second, Entry) and first.pairs_with(second)
    return second if pair and isinstance(second, Entry) else None


def _add_block(made: Whole, block: Block, where: dict[str, Layer]) -> None:
    kind = _NAMES[type(block.layer)]
    count = sum(name.startswith(kind) for name in (*made.body, *made.head))
    name = kind if kind == EMBEDDING else f"{kind}{count + 1}"
    where[name] = block.layer
    made.params |= {f"{name}.{key}": finite_array(f"{block.name}.{key}", value) for key, value in block.params.items()}
    made.said.append(f"{name}: {_block_text(block)}")


def _block_text(block: Block) -> str:
    named = f" '{block.name}'" if block.name else ""
    if isinstance(block.layer, Embedding):
        return f"{block.layer.vocabulary:,} vectors of {block.outputs} from{named}"
    return f"{block.inputs} -> {block.outputs} from{named}"


def _add_recurrent(made: Whole, entry: Entry, back: Entry | None, activation: str | None) -> None:
    """A recurrent layer of one or both directions, and behind it its projection."""
    reads = [one.read(activation) for one in (entry, back) if one is not None]
    name = f"layer{1 + sum(known.startswith('layer') for known in made.body)}"
    if not any(isinstance(layer, Recurrent | Bidirectional) for layer in made.body.values()):
        made.reverse = entry.reverse
    merge = "concat" if back is None else back.merge
    if merge is None:
        text = "its directions are merged in a way that no layer of gradlab has; choose one of them by its layer"
        raise InputError(f"{entry.text}: {text}", "layer")
    _require_alike(entry, reads)
    made.body[name] = Recurrent(reads[0].cell) if back is None else Bidirectional(reads[0].cell, merge)
    for direction, read in zip(("",) if back is None else ("forward.", "backward."), reads, strict=True):
        made.params |= {f"{name}.{direction}{key}": value for key, value in read.params.items()}
    of = entry.text + ("" if back is None else " in both directions")
    made.said.append(", ".join([f"{name}: {reads[0].cell!r} from {of}", *(t for read in reads for t in read.said)]))
    made.assumed = next((read.assumed for read in reads if read.assumed), made.assumed)
    made.ends, made.width = back is not None and merge == "concat", _width(reads, merge)
    _add_projection(made, name.replace("layer", "projection"), reads, merge)


def _require_alike(entry: Entry, reads: Sequence[ReadLayer]) -> None:
    if any(read.cell != reads[0].cell for read in reads):
        cells = " and ".join(repr(read.cell) for read in reads)
        raise InputError(
            f"{entry.text}: its directions are {cells}, which one run cannot hold; choose one by its layer"
        )


def _width(reads: Sequence[ReadLayer], merge: str) -> int:
    return reads[0].cell.hidden_size * (len(reads) if merge == "concat" else 1)


def _add_projection(made: Whole, name: str, reads: Sequence[ReadLayer], merge: str) -> None:
    """What an LSTM with proj_size gives, from all its units, as a layer without a bias."""
    from scipy.linalg import block_diag

    matrices = [read.projection for read in reads if read.projection is not None]
    if not matrices:
        return
    matrix = np.asarray(block_diag(*matrices)).astype(matrices[0].dtype)
    made.body[name] = Dense(matrix.shape[1], matrix.shape[0], bias=False)
    made.params[f"{name}.W_hy"], made.width = matrix, matrix.shape[0]
