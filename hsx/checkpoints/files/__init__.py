"""A file of weights: what its bytes are, what lies in it, and which of its weights are taken."""
