"""What a run costs, as known before it starts: time and memory on an ordinary machine."""

from __future__ import annotations

import math
import os
from functools import cache, lru_cache

from ..cells import CELLS
from ..config import RunConfig
from ..config.architecture import embeds, is_single, is_transformer, is_tree
from ..config.network import NetworkConfig
from ..data import BANDS, INPUTS, column_names, is_sound, named_content
from ..errors import InputError

_RUN_SECONDS = 0.03  # what a run costs however small it is
_STEP_SECONDS = 2e-5  # what one step costs however small the net is
_VALUE_SECONDS = 7e-8  # what each partial derivative of a state by a gate costs, and the state itself
_PRODUCT_SECONDS = 1e-10  # what that costs for each recurrent weight it is multiplied with
_CUBE_SECONDS = 6e-10  # what the weights' own singular values cost, for each hidden_size^3 of a gate
_INPUT_SECONDS = 8e-8  # what each number of the input costs: made, projected, and in the weights' gradient
_MOMENT_SECONDS = 3e-11  # what that costs for each number it is multiplied with in the input's covariance
_BLOCK_SECONDS = 9e-7  # what each number of a block's width costs at a position, beside its maps
_WEIGHT_SECONDS = 4e-8  # what each attention weight costs
_BLOCK_MAPS = 12  # numbers of a block's maps, for each hidden_size^2
_BLOCK_ARRAYS, _WEIGHT_ARRAYS = 35, 3  # arrays of the size of all positions, and of all weights, that a block holds
_ARRAYS, _TREE_ARRAYS = 5, 10  # arrays of the size of all gates and states that a run holds at once, of trees
_INPUTS = 3  # of the size of the input, float64
_WEIGHTS = 6  # of the size of all weights
TEXT_FEATURES = 256  # of a text, at most
_SIZES = ("steps", "batch_size", "hidden_size", "input_size", "layers")  # fields that a run grows with


def work(config: RunConfig, samples: int | None = None) -> float:
    """Seconds that a run, or that many of its samples, takes on an ordinary machine: within a factor of 2."""
    pairs = config.steps * (samples or config.batch_size)
    if is_transformer(config):
        return _RUN_SECONDS + config.layers * _block_work(config, pairs)
    gates, states, hidden = size(config)
    return _RUN_SECONDS + sum(_layer_work(config, pairs, gates, states, hidden, heard) for heard in _heard(config))


def _layer_work(config: RunConfig, pairs: int, gates: int, states: int, hidden: float, heard: float) -> float:
    """Of one layer of a cell that takes so many numbers at each step."""
    values = pairs * (gates * states + 1) * hidden
    fixed = config.steps * _STEP_SECONDS + gates * hidden**3 * _CUBE_SECONDS
    inputs = pairs * heard * (_INPUT_SECONDS + gates * hidden * _PRODUCT_SECONDS + heard * _MOMENT_SECONDS)
    return fixed + values * (_VALUE_SECONDS + hidden * _PRODUCT_SECONDS) + inputs


def _block_work(config: RunConfig, pairs: int) -> float:
    """Of one block: maps of each position, and as many weights as pairs of positions."""
    hidden, weights = config.hidden_size, pairs * config.steps
    maps = pairs * hidden * (_BLOCK_SECONDS + _BLOCK_MAPS * hidden * _PRODUCT_SECONDS)
    return maps + weights * (config.heads * _WEIGHT_SECONDS + 2 * hidden * _PRODUCT_SECONDS)


def _heard(config: NetworkConfig) -> list[float]:
    """How many numbers each layer of a cell takes at each step, both directions apart."""
    if is_single(config) or is_tree(config):
        return [float(features(config))]
    directions = 1 + config.bidirectional
    above = [float(directions * config.hidden_size)] * (config.layers - 1)
    return directions * [float(features(config)), *above]


def memory(config: NetworkConfig) -> float:
    """Bytes that a run, or a step of training, takes at its peak, about."""
    pairs = config.steps * config.batch_size
    held = _of_blocks(config, pairs) if is_transformer(config) else _of_layers(config, pairs)
    return (8 if config.dtype == "float64" else 4) * held + 8 * _INPUTS * pairs * features(config)


def _of_layers(config: NetworkConfig, pairs: int) -> float:
    """Numbers that layers of a cell hold."""
    (gates, states, hidden), heard = size(config), _heard(config)
    weights = sum(gates * hidden * (hidden + n) for n in heard)
    arrays = _TREE_ARRAYS if is_tree(config) else _ARRAYS
    return arrays * pairs * (gates + states) * hidden * len(heard) + _WEIGHTS * weights


def _of_blocks(config: NetworkConfig, pairs: int) -> float:
    """Numbers that blocks hold: of each position, of each pair of positions, and the maps."""
    hidden, layers = config.hidden_size, config.layers
    each = _BLOCK_ARRAYS * pairs * hidden + _WEIGHT_ARRAYS * config.heads * pairs * config.steps
    return layers * (each + _WEIGHTS * _BLOCK_MAPS * hidden**2)


def require_memory(config: NetworkConfig) -> None:
    """InputError, about the size that is most beyond its default, for a run that takes more memory than there is."""
    if (needed := memory(config)) > (there := installed()):
        defaults = {name: type(config).model_fields[name].default for name in _SIZES if hasattr(config, name)}
        name = max(defaults, key=lambda name: getattr(config, name) / defaults[name])
        raise InputError(
            f"{name}: a run with {getattr(config, name):,} takes about {needed / 1e9:,.0f} GB of memory, this machine "
            f"has {there / 1e9:.0f}; take less, or fewer steps, samples or units",
            name,
        )


@cache
def installed() -> float:
    """Bytes of this machine's memory; infinite where the system does not tell."""
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, OSError, ValueError):
        return math.inf


def features(config: NetworkConfig) -> int:
    """How many numbers come in at each step; of a file that cannot be read one, as the run itself will say so."""
    source = getattr(config, "input", "noise")
    if source in INPUTS or embeds(config):
        return int(getattr(config, "input_size", 1))
    bands = BANDS if getattr(config, "frames", "samples") == "mel" and is_sound(source) else 1
    return bands if config.column is not None else bands * _columns(source)


@lru_cache
def _columns(path: str) -> int:
    """Of a file, which the app keeps under a name that tells its content."""
    try:
        return len(column_names(*named_content(path))) or TEXT_FEATURES
    except InputError:
        return 1


def size(config: NetworkConfig) -> tuple[int, int, float]:
    """Number of gates, states and units; weights from a file count as an LSTM's, as large as the file tells."""
    weights = getattr(config, "weights", None)
    cell = CELLS["lstm" if weights else config.cell]
    hidden = (_bytes(weights) / 4 / len(cell.gates)) ** 0.5 if weights else float(config.hidden_size)
    return len(cell.gates), len(cell.states), hidden


def _bytes(path: str) -> int:
    """The size of a file, 0 where it is gone: the run itself will say so."""
    try:
        return os.path.getsize(path)
    except OSError:
        return 0
