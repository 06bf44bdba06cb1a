"""The parts of a sweep that are no run: which settings, which of them are best, and how they are drawn."""
