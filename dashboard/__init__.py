"""The web app: one page per question, drawn from gradlab's public functions."""

import os

# One thread computes a run of the size that is drawn live as fast as several do. Several wait for each other as soon as
# the browser wants a core, and a drag stutters. NumPy reads this when it is imported, hence before everything else.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
