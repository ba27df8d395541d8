"""One module per file format; `imaging.readers` and `imaging.writers` choose among them."""
