"""The trainer: from the labels that annotators saved to a new version of the model."""
