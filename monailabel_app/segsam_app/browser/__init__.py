"""The viewer in a browser with everything that it needs on this computer (`make browser`)."""
