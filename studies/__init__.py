"""Studies: one script per published claim, and the benchmark."""
