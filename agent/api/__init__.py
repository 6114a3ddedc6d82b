"""What the agent serves: one route table and a file per noun."""
