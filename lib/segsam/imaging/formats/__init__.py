"""File formats, one module each; `imaging.readers` and `imaging.writers` choose among them."""
