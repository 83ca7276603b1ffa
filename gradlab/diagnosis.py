"""Dataset -> diagnosis: verdict, cause from measured factors, and remedies, verified where they can be run."""
