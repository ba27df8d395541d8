"""Prediction: prompts on a volume in, the object's mask and name out."""
