"""Our daemons on a machine with systemd: what `scripts/install` does, with the standard library alone."""
