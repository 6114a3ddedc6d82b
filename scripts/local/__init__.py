"""A whole platform on this machine: what `scripts/up` and `scripts/down` do."""
