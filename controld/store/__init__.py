"""What the control daemon keeps in its database."""
