"""The node side: how machines become nodes and stay linked, on a port of its own under TLS."""
