"""Builds parts of the agent that belong together."""
