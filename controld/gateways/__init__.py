"""Other programs that the control daemon speaks to over the network."""
