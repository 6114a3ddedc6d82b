"""The agent's operations, a class per noun, and the ports they need."""
