"""Weights trained elsewhere, as a cell and its parameters."""

from .files import load_safetensors, load_weights, save_safetensors, weights_text
from .pytorch import choice, from_state_dict, to_state_dict
from .trained import TRAINING, training_config

__all__ = [
    "TRAINING",
    "choice",
    "from_state_dict",
    "load_safetensors",
    "load_weights",
    "save_safetensors",
    "to_state_dict",
    "training_config",
    "weights_text",
]
