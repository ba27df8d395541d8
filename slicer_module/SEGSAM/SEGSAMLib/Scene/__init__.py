"""Nodes of the scene: volumes, segmentations, markups, slice views. MRML and VTK, no Qt."""
