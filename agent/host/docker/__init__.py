"""The container engine as an adapter: every call and stream goes over its socket, on the loop."""
