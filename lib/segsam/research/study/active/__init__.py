"""Simulated annotators, to compare the strategies that choose the next case."""
