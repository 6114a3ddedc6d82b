"""Who has which role in a project."""

from __future__ import annotations

from controld.core.audit import Audit
from controld.core.faults import LastAdmin, ProjectNotFound, UserNotFound
from controld.core.ports import Database, Transaction
from controld.core.ports_identity import UserStore
from controld.core.ports_services import MemberStore, ProjectStore
from controld.model.caller import Caller
from controld.model.project import Membership
from controld.model.role import Role
from controld.rules.access import check


class Members:
    """Shows and changes memberships; a project that has an admin keeps one."""

    def __init__(
        self, *, database: Database, members: MemberStore, projects: ProjectStore, users: UserStore, audit: Audit
    ) -> None:
        self._database = database
        self._members = members
        self._projects = projects
        self._users = users
        self._audit = audit

    async def list(self, caller: Caller, project_id: str) -> list[Membership]:
        """The project's members by user id."""
        async with self._database.read() as tx:
            await self._enter(tx, caller, "members.read", project_id=project_id)
            return await self._members.list(tx, project_id)

    async def put(self, caller: Caller, project_id: str, *, user_id: str, role: Role) -> Membership:
        """Give a user a role in place of the one they had; raises LastAdmin when no admin would be left."""
        membership = Membership(user_id=user_id, project_id=project_id, role=role)
        async with self._database.write() as tx:
            await self._enter(tx, caller, "members.change", project_id=project_id)
            await tx.lock(f"members:{project_id}")
            if await self._users.get(tx, user_id) is None:
                raise UserNotFound("cannot add member: no such user")
            if role is not Role.ADMIN:
                await self._keep_an_admin(tx, project_id, user_id=user_id)
            await self._members.put(tx, membership)
            await self._record(tx, caller, "member.put", membership=membership)
        return membership

    async def remove(self, caller: Caller, project_id: str, *, user_id: str) -> None:
        """Take a user's role; who has none is gone already. Raises LastAdmin when no admin would be left."""
        async with self._database.write() as tx:
            await self._enter(tx, caller, "members.change", project_id=project_id)
            await tx.lock(f"members:{project_id}")
            found = await self._members.get(tx, project_id, user_id=user_id)
            if found is None:
                return
            await self._keep_an_admin(tx, project_id, user_id=user_id)
            await self._members.remove(tx, project_id, user_id=user_id)
            await self._record(tx, caller, "member.remove", membership=found)

    async def _enter(self, tx: Transaction, caller: Caller, operation: str, *, project_id: str) -> None:
        missing = ProjectNotFound("cannot find project: no such project")
        check(caller, operation, project_id=project_id, missing=missing)
        if await self._projects.get(tx, project_id) is None:
            raise missing

    async def _keep_an_admin(self, tx: Transaction, project_id: str, *, user_id: str) -> None:
        admins = [each.user_id for each in await self._members.list(tx, project_id) if each.role is Role.ADMIN]
        if admins == [user_id]:
            raise LastAdmin("cannot take this role away: this is the last admin of the project")

    async def _record(self, tx: Transaction, caller: Caller, action: str, *, membership: Membership) -> None:
        await self._audit.record(
            tx,
            caller,
            action=action,
            object_kind="member",
            object_id=membership.user_id,
            project_id=membership.project_id,
            details={"role": membership.role.value},
        )
