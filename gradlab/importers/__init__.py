"""Weights trained elsewhere, or kept by gradlab, as a cell and its parameters."""

from .entries import AssumedActivation
from .files import Held, held, load_layer, load_safetensors, load_weights, load_whole, save_safetensors, weights_text
from .pytorch import choice, from_state_dict, to_state_dict
from .trained import LAYER, TRAINING, save_layer, saved_by_gradlab
from .whole import EMBEDDING, Whole

__all__ = [
    "EMBEDDING",
    "LAYER",
    "TRAINING",
    "Whole",
    "AssumedActivation",
    "Held",
    "choice",
    "from_state_dict",
    "held",
    "load_layer",
    "load_safetensors",
    "load_weights",
    "load_whole",
    "save_layer",
    "save_safetensors",
    "saved_by_gradlab",
    "to_state_dict",
    "weights_text",
]
