"""Weights trained elsewhere, as a cell and its parameters."""

from .pytorch import choice, from_state_dict, load_safetensors, load_weights, save_safetensors, to_state_dict

__all__ = ["choice", "from_state_dict", "load_safetensors", "load_weights", "save_safetensors", "to_state_dict"]
