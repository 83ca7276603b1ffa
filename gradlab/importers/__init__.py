"""Weights trained elsewhere, or kept by gradlab, as a cell and its parameters."""

from .files import load_safetensors, load_weights, save_safetensors, weights_text
from .pytorch import AssumedActivation, choice, from_state_dict, to_state_dict
from .trained import LAYER, TRAINING, save_layer, saved_by_gradlab

__all__ = [
    "LAYER",
    "TRAINING",
    "AssumedActivation",
    "choice",
    "from_state_dict",
    "load_safetensors",
    "load_weights",
    "save_layer",
    "save_safetensors",
    "saved_by_gradlab",
    "to_state_dict",
    "weights_text",
]
