"""The profile `fuzz`: random examples, of which `dev.py fuzz` tries 10,000; without it, the same few each time."""

from hypothesis import settings

settings.register_profile("fuzz", max_examples=10_000)
