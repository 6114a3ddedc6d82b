"""What an agent asks of controld's node side."""
