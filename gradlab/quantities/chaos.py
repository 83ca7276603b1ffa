"""On request: Lyapunov exponents."""
