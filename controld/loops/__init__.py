"""The control daemon's duties that repeat."""
