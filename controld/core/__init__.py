"""The control daemon's operations, a class per noun, and the ports they need."""
