"""Active-learning loop in one command, `python -m segsam_app.loop`: a real server, real volumes,
and a simulated annotator who knows the reference labels.
"""
