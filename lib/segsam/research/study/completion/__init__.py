"""Simulated annotators who confirm slices of an object, and how well the rest of it is drawn."""
