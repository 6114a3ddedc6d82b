"""The control daemon: holds what is wanted, decides what each node should run, and serves the APIs."""
