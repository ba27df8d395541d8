"""Segment or evaluate a whole archive, on this machine or on the workers of a Ray cluster."""
