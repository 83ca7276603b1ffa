"""What the addresses of several pages have in common."""

ARRIVAL = ("from", "explore")  # says that a run in Explore is to be trained, not that a set-up is opened again
