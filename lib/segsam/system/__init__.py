"""Process settings, folders of this user, atomic file writes."""
