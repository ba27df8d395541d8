"""Trainer: makes a new version of the model from the labels that annotators saved."""
