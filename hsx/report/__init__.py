"""The end of a run: lists and contact sheets."""
