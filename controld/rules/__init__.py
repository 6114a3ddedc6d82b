"""The control daemon's pure decisions and parsers."""
