"""One module per file format; `segsam.readers` and `segsam.writers` choose among them."""
