"""Images on disk and in memory: volumes, geometry, intensity windows, slices."""
