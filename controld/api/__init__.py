"""The public APIs, one folder per surface."""
