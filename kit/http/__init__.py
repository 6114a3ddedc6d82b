"""HTTP machinery shared by every surface and client."""
