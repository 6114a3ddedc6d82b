"""Plain machinery that any of our programs needs to run; free of product words."""
