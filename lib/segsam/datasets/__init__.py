"""Labelled images: what lies on disk, how it is cut into slices, and who is held out."""
