"""Command line `segsam`: one file per command, and `terminal` for what they share."""
