"""Prompts: points and boxes as objects, and their parsing from JSON and text."""
