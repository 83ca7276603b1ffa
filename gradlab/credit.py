"""Credit assignment: which step's state and weights each step's loss reaches, and how much arrives."""
