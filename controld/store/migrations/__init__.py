"""The history of the database's schema: numbered Alembic revisions, run forward at start."""
