"""Simulated annotators: how good a model gets with the cases that each strategy chooses."""
