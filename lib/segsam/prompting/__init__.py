"""Points and boxes, as objects and as text."""
