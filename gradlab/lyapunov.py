"""Lyapunov exponents of a driven cell and of any map, by QR on the joint state."""
