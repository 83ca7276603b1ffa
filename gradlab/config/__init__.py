"""Configurations, validated in one place, from keywords, CLI, TOML, URL and the app's controls alike.

Every field carries the metadata that its control needs (`Control`), so a new field appears in the CLI and in the app by
being declared here. A field that does not apply to a cell is ignored and keeps its value.
"""

from .base import Config, ConfigError, Control
from .network import DTYPES
from .run import CLIP_LABELS, LOSSES, UPDATE_CLIPS, RunConfig, controls, from_toml

__all__ = [
    "CLIP_LABELS",
    "DTYPES",
    "LOSSES",
    "UPDATE_CLIPS",
    "Config",
    "ConfigError",
    "Control",
    "RunConfig",
    "controls",
    "from_toml",
]
