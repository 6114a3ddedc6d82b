"""The agent's pure decisions and parsers."""
