"""Objects without prompts: a first label volume of a case, and which case to annotate next."""
