"""Predictions to compare measurements with; each says where it holds and where it fails."""
