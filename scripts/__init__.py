"""Scripts that people run, and what they are made of."""
