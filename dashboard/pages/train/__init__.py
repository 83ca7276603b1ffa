"""Train: the gradient flow while a net learns."""
