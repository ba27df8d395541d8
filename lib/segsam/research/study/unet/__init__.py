"""Networks without prompts, trained on the same slices, for comparison of the semantic masks."""
