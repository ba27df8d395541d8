"""A client of the server, and a starter of one; shared by the demo, the bench and the loop."""
