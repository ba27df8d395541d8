"""Sections of the panel. The only folder with Qt."""
