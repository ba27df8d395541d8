"""Names by example: structures that a user named once, and their names for what is like them."""
