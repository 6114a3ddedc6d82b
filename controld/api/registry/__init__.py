"""The image registry: the OCI distribution API."""
