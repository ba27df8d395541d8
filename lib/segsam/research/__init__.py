"""Experiments: the small versions of the paper's tables (`study`) and the speed page (`bench`).

Only the command line imports this package.
"""
