"""Layers of a network: init, forward and backward, each with a record of what it computed (a tape).

Sequences are (T, *M, B, F), time first; single vectors (*M, B, F). Parameters are flat dicts of arrays that
containers name by position: "0.W_hh". One-to-one and many-to-many nets are `Sequential(Recurrent(cell), Dense(...))`,
many-to-one nets have `Last()` in between, one-to-many nets begin with `Once(steps)`; for many-to-many by way of a state
there is `EncoderDecoder`. Nets with a `Tree` take `Trees` where others take lengths.

From layer to layer gradients go as `Scaled` numbers, mantissas times powers of two, so that none under- or overflows on
the way; `backward` returns plain arrays of them, `backward_scaled` the numbers as they are.
"""

from ..engine.scaled import Scaled
from .attention import Attention, AttentionTape
from .base import Layer, Params, Pass
from .bidirectional import Bidirectional, BidirectionalTape
from .dense import OUTPUTS, Dense, DenseTape
from .dropout import Dropout, DropoutTape
from .embedding import Embedding, EmbeddingTape
from .encoder_decoder import EncoderDecoder, EncoderDecoderTape
from .layer_norm import LayerNorm, LayerNormTape
from .recurrent import Recurrent, RecurrentTape, recurrent_tapes
from .residual import Residual, ResidualTape
from .scores import SCORES
from .self_attention import SelfAttention, SelfAttentionTape
from .sequential import Sequential, SequentialTape
from .shapes import Ends, Last, LastTape, Once
from .transformer import Positions, Transformer, TransformerBlock
from .tree import Tree, TreeTape
from .tree_shapes import SHAPES, grow
from .trees import Trees
from .untied import Untied, UntiedTape

__all__ = [
    "OUTPUTS",
    "SCORES",
    "SHAPES",
    "Attention",
    "AttentionTape",
    "Bidirectional",
    "BidirectionalTape",
    "Dense",
    "DenseTape",
    "Dropout",
    "DropoutTape",
    "Embedding",
    "EmbeddingTape",
    "EncoderDecoder",
    "EncoderDecoderTape",
    "Ends",
    "Last",
    "LastTape",
    "Layer",
    "LayerNorm",
    "LayerNormTape",
    "Once",
    "Params",
    "Pass",
    "Positions",
    "Recurrent",
    "RecurrentTape",
    "Residual",
    "ResidualTape",
    "Scaled",
    "SelfAttention",
    "SelfAttentionTape",
    "Sequential",
    "SequentialTape",
    "Transformer",
    "TransformerBlock",
    "Tree",
    "TreeTape",
    "Trees",
    "Untied",
    "UntiedTape",
    "grow",
    "recurrent_tapes",
]
