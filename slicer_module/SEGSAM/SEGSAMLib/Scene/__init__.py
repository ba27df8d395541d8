"""Nodes of the scene: volumes, segmentations, markups. MRML only."""
