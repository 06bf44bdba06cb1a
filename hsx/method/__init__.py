"""The method, in pure torch: step.py first."""
