"""Labelled images on disk, their slices, and the split into training and held-out cases."""
