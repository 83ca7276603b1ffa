"""On request: what theory predicts for the run."""
