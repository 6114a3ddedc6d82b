"""The typed client of /v1 and the command line on top of it."""
