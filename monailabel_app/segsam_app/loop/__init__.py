"""The whole loop in one command, `python -m segsam_app.loop`: a real server, real volumes, and an
annotator who draws what the reference says.
"""
