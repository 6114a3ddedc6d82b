"""The agent's duties that repeat."""
