"""Versions of the model: every training adds one, none ever changes, and one is current."""
