"""A platform under everything at once for minutes: what its daemons hold has to come back to what it was."""
