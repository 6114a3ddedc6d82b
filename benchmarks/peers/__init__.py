"""What rows compare with: each peer runs as a process of its own and prints the port it listens on."""
