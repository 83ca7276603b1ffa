"""Compare: up to six runs on one lag axis."""
