"""Self-checks of a host: what was found, what it means, and how to mend it."""
