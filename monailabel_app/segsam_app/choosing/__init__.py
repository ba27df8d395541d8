"""Which image to label next: overviews, scores, strategies."""
