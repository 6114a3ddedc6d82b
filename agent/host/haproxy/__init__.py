"""Drives HAProxy: renders its files, speaks to its sockets and reads its access log."""
