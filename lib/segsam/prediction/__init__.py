"""From prompts on a volume to a mask with a name: predictor, decoding, propagation, results."""
