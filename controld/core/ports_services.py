"""What the core needs to keep projects, their members, services and hostnames."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from controld.core.ports import Transaction
from controld.model.hostname import Hostname
from controld.model.project import Membership, Project
from controld.model.service import Service


class ProjectStore(Protocol):
    """Projects in the database; each change announces ("project", id)."""

    async def add(self, tx: Transaction, project: Project) -> None:
        """Keep a new project."""
        ...

    async def update(self, tx: Transaction, project: Project) -> None:
        """Replace all of a project but its id and when it was made."""
        ...

    async def get(self, tx: Transaction, project_id: str) -> Project | None:
        """The project."""
        ...

    async def find(self, tx: Transaction, name: str) -> Project | None:
        """The project of that name."""
        ...

    async def list(self, tx: Transaction, *, only: Collection[str] | None = None) -> list[Project]:
        """Projects by name; with `only`, those with these ids."""
        ...

    async def delete(self, tx: Transaction, project_id: str) -> None:
        """Remove the project with its memberships; it has no services any more."""
        ...

    async def count_services(self, tx: Transaction, project_id: str) -> int:
        """How many services the project has."""
        ...

    async def count_jobs(self, tx: Transaction, project_id: str) -> int:
        """How many jobs the project has."""
        ...


class MemberStore(Protocol):
    """Memberships in the database; each change announces ("user", the member's id)."""

    async def put(self, tx: Transaction, membership: Membership) -> None:
        """Give a user a role, in place of the one they had."""
        ...

    async def remove(self, tx: Transaction, project_id: str, *, user_id: str) -> bool:
        """Take a user's role; False when they had none."""
        ...

    async def get(self, tx: Transaction, project_id: str, *, user_id: str) -> Membership | None:
        """A user's role in the project."""
        ...

    async def list_admin_projects(self, tx: Transaction, user_id: str) -> list[str]:
        """The projects of which the user is an admin, by id."""
        ...

    async def list_sole_admin_projects(self, tx: Transaction, user_id: str) -> list[str]:
        """The projects whose only admin this user is."""
        ...

    async def list(self, tx: Transaction, project_id: str) -> list[Membership]:
        """The project's members by user id."""
        ...


class ServiceStore(Protocol):
    """Services in the database; each change announces ("service", id)."""

    async def add(self, tx: Transaction, service: Service) -> None:
        """Keep a new service."""
        ...

    async def update(self, tx: Transaction, service: Service) -> None:
        """Replace what is wanted of a service; what has been promoted stays."""
        ...

    async def get(self, tx: Transaction, service_id: str) -> Service | None:
        """The service."""
        ...

    async def find(self, tx: Transaction, project_id: str, *, name: str) -> Service | None:
        """The project's service of that name."""
        ...

    async def list(self, tx: Transaction, *, projects: Collection[str] | None = None) -> list[Service]:
        """Services by name; with `projects`, those in these."""
        ...

    async def list_public_ports(self, tx: Transaction, *, besides: str | None) -> frozenset[int]:
        """The public ports of all services but this one."""
        ...

    async def delete(self, tx: Transaction, service_id: str) -> None:
        """Remove the service with its replicas, deployments, artifacts and hostnames; announces ("node", id) for every
        node that ran it.
        """
        ...


class HostnameStore(Protocol):
    """Hostnames in the database; each change announces ("service", the owner's id) and ("challenge", id)."""

    async def add(self, tx: Transaction, hostname: Hostname) -> None:
        """Keep a new hostname."""
        ...

    async def update(self, tx: Transaction, hostname: Hostname) -> None:
        """Write down where it stands now: its status, and what its last check said."""
        ...

    async def delete(self, tx: Transaction, hostname: Hostname) -> None:
        """Forget it, so that it is free for others."""
        ...

    async def get(self, tx: Transaction, hostname_id: str) -> Hostname | None:
        """The hostname with this id."""
        ...

    async def find_challenged(self, tx: Transaction, token: str) -> Hostname | None:
        """The hostname whose ownership this token proves."""
        ...

    async def find(self, tx: Transaction, name: str) -> Hostname | None:
        """The hostname, whoever's it is."""
        ...

    async def list(self, tx: Transaction, service_id: str) -> list[Hostname]:
        """The service's hostnames, oldest first."""
        ...
