"""Plain values: numpy and the standard library only."""
