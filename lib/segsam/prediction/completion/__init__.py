"""Completion of an object from slices that a person has confirmed."""
