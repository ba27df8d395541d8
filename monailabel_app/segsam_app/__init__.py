"""The MONAI Label application around the `segsam` library."""
