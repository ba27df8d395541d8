"""Objects that nobody pointed at: where something might be, what both decoders make of it, and a
first label volume; what it is worth to annotate a case.
"""
