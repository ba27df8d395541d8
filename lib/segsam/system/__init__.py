"""Process settings, folders of this user, files that are written whole or not at all."""
