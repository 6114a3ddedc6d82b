"""`moorage audit` shows an operator what the control daemon wrote down."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from client.api import Api
from client.audit import AuditFilter, show_audit
from client.config import Login, write_login
from client.faults import Refused
from client.projects import NoSuchProject
from controld.model.role import Role
from tests.controld.app import App


async def test_an_admin_reads_what_was_done_in_their_project(
    app: App, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project_id = await app.add_project("shop")
    token = await app.token_of("ada", project_id=project_id, role=Role.ADMIN)
    config = tmp_path / "login.json"
    async with app.serve() as http:
        url = str(http._base_url)
        await asyncio.to_thread(write_login, config, Login(url=url, token=token))
        await show_audit(config, AuditFilter(project="shop", action="project"))
        expected = f'2026-01-01 00:00:00\tbootstrap\t\tproject.create\tproject {project_id}\tdone\t{{"name":"shop"}}\n'
        assert capsys.readouterr().out == expected
        with pytest.raises(NoSuchProject):
            await show_audit(config, AuditFilter(project="other"))
        async with Api(url, token=token) as api:
            with pytest.raises(Refused, match="limit"):
                await api.list_audit({"limit": "0"})
