"""Everything of the agent that touches the machine."""
