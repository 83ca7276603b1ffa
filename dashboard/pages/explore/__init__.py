"""Explore: one net, live."""
