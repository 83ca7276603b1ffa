"""Weights trained elsewhere, as a cell and its parameters."""

from .pytorch import from_state_dict, load_safetensors, load_weights

__all__ = ["from_state_dict", "load_safetensors", "load_weights"]
