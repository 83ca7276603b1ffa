"""Long products of Jacobians in log scale: norms, singular values, and their split by path."""
