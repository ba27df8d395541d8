"""The laboratory: the paper's tables (study), the speed page (bench).

Only the command line imports it.
"""
