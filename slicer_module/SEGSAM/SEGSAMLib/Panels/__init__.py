"""The parts of the panel. Qt only."""
