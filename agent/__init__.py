"""The node agent: makes one machine run what controld wants, and tells how it goes."""
