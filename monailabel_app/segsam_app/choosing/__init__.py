"""Active learning: overviews of images, their scores, and the strategies that choose by them."""
