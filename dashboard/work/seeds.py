"""Seeds of runs that are compared: computed beside the drawing, kept by what they are of."""

from gradlab.config import RunConfig
from gradlab.runs.comparison import Seed, one_seed

from . import lanes
from .gathered import Gathered

SEEDS: Gathered[RunConfig, Seed] = Gathered(lambda config: lanes.LONG.submit(one_seed, config))
