"""The document is asked of the world that the roles are proved in."""

from __future__ import annotations

from tests.roles.conftest import world

__all__ = ["world"]
