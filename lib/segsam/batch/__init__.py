"""A whole archive, case by case: on this machine, or on the workers of a Ray cluster."""
