"""A run: what Lightning is needed for."""
