"""Client of the SEG-SAM server, starter of a server, and the masks in its replies."""
