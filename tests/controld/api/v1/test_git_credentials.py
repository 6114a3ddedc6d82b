"""Deploy keys and sign-ins over `/v1`: kept shut, shown by their public half."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path
from typing import Any

import pytest

from controld.model.audit import AuditQuery, AuditRecord
from controld.model.page import Page
from controld.model.role import Role
from kit.ssh_keys import make_key, parse_key
from tests.controld.app import SETUP_SECRET, App, ask, bearer

_ADMIN = bearer(SETUP_SECRET)


async def _audited(app: App) -> list[AuditRecord]:
    async with app.database.read() as tx:
        return await app.audit_store.list(tx, AuditQuery(), page=Page(limit=100))


async def test_a_key_is_made_here_when_none_is_given_and_only_its_public_half_is_told(app: App) -> None:
    project_id = await app.add_project()
    path = f"/v1/projects/{project_id}/credentials/git"
    async with app.serve() as http:
        status, made = await ask(http, "POST", path, {}, headers=_ADMIN)
        assert status == 201
        assert (made["name"], made["kind"], made["project_id"]) == ("default", "SshDeployKey", project_id)
        assert made["public_key"].startswith("ssh-ed25519 ")
        assert made["fingerprint_sha256"].startswith("SHA256:")
        ((key, secret),) = app.secrets.kept.items()
        assert key == (project_id, f"git-{made['id']}")
        assert parse_key(secret["private_key"]).fingerprint == made["fingerprint_sha256"]
        viewer = bearer(await app.token_of("viewer", project_id=project_id, role=Role.VIEWER))
        assert await ask(http, "GET", path, headers=viewer) == (200, [made])
        _, everything = await ask(http, "GET", "/v1/credentials", headers=_ADMIN)
        assert [(each["name"], each["secret_ref"]) for each in everything] == [("default", key[1])]
        assert "PRIVATE" not in str((made, everything))


async def test_a_given_key_and_its_known_hosts_are_kept(app: App, tmp_path: Path) -> None:
    project_id = await app.add_project()
    path = f"/v1/projects/{project_id}/credentials/git"
    file = tmp_path / "key"
    command = ["ssh-keygen", "-q", "-f", str(file), "-N", "", "-C", "", "-t", "rsa", "-b", "2048", "-m", "PEM"]
    await asyncio.to_thread(subprocess.run, command, check=True, timeout=60)
    hosts = f"git.example {make_key().public_key}\n"
    async with app.serve() as http:
        body = {"name": "ci", "private_key": file.read_text(), "known_hosts": hosts}
        status, made = await ask(http, "POST", path, body, headers=_ADMIN)
        assert status == 201
        assert made["public_key"] == f"{file.with_suffix('.pub').read_text().strip()} moorage:ci"
        assert made["known_hosts"] == hosts
        assert (await ask(http, "POST", path, body, headers=_ADMIN))[1]["code"] == "name_taken"
        assert len(app.secrets.kept) == 1


async def test_a_sign_in_for_https_is_kept_without_telling_its_password(app: App) -> None:
    project_id = await app.add_project()
    path = f"/v1/projects/{project_id}/credentials/git"
    async with app.serve() as http:
        body = {"name": "web", "username": "bot", "password": "token-123"}
        status, made = await ask(http, "POST", path, body, headers=_ADMIN)
        assert (status, made["kind"], made["username"], made["public_key"]) == (201, "HttpsPassword", "bot", None)
        assert list(app.secrets.kept.values()) == [{"username": "bot", "password": "token-123"}]
        _, listed = await ask(http, "GET", path, headers=_ADMIN)
    assert "token-123" not in f"{made} {listed} {await _audited(app)}"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"private_key": "nonsense"}, 400, "key_refused"),
        ({"private_key": "x" * 17_000}, 400, "key_refused"),
        ({"name": "a/b"}, 400, "invalid"),
        ({"name": ""}, 400, "invalid"),
        ({"username": "bot"}, 400, "invalid"),
        ({"username": "bot", "password": "a\nhost=evil"}, 400, "invalid"),
        ({"username": "bot", "password": "p", "private_key": "k"}, 400, "invalid"),
        ({"known_hosts": "nonsense"}, 400, "known_hosts_refused"),
        ({"private_key": 1}, 422, "malformed"),
    ],
)
async def test_what_cannot_be_kept_is_refused_and_leaves_no_secret(
    app: App, body: dict[str, Any], status: int, code: str
) -> None:
    path = f"/v1/projects/{await app.add_project()}/credentials/git"
    async with app.serve() as http:
        answer = await ask(http, "POST", path, body, headers=_ADMIN)
    assert (answer[0], answer[1]["code"]) == (status, code)
    assert app.secrets.kept == {}


async def test_a_key_behind_a_passphrase_is_refused_in_so_many_words(app: App, tmp_path: Path) -> None:
    file = tmp_path / "key"
    command = ["ssh-keygen", "-q", "-f", str(file), "-N", "long enough", "-t", "ed25519"]
    await asyncio.to_thread(subprocess.run, command, check=True, timeout=60)
    path = f"/v1/projects/{await app.add_project()}/credentials/git"
    async with app.serve() as http:
        status, fault = await ask(http, "POST", path, {"private_key": file.read_text()}, headers=_ADMIN)
    assert (status, "passphrase" in fault["error"]) == (400, True)


async def test_a_deleted_credential_is_gone_with_its_secret(app: App) -> None:
    project_id = await app.add_project()
    path = f"/v1/projects/{project_id}/credentials/git"
    async with app.serve() as http:
        for name in ("default", "other"):
            assert (await ask(http, "POST", path, {"name": name}, headers=_ADMIN))[0] == 201
        assert await ask(http, "DELETE", f"{path}?name=other", headers=_ADMIN) == (200, {"deleted": True})
        assert len(app.secrets.kept) == 1
        assert await ask(http, "DELETE", path, headers=_ADMIN) == (200, {"deleted": True})
        assert app.secrets.kept == {}
        status, fault = await ask(http, "DELETE", path, headers=_ADMIN)
        assert (status, fault["code"]) == (404, "git_credential_not_found")
    actions = [record.action for record in await _audited(app) if record.object_kind == "git_credential"]
    assert sorted(actions) == ["credentials.create", "credentials.create", "credentials.delete", "credentials.delete"]


async def test_a_credential_belongs_to_its_project_alone(app: App) -> None:
    project_id, other = await app.add_project(), await app.add_project("other")
    stranger = bearer(await app.token_of("stranger", project_id=other, role=Role.ADMIN))
    viewer = bearer(await app.token_of("viewer", project_id=project_id, role=Role.VIEWER))
    path = f"/v1/projects/{project_id}/credentials/git"
    async with app.serve() as http:
        await ask(http, "POST", path, {}, headers=_ADMIN)
        for method, least in (("GET", 200), ("POST", 403), ("DELETE", 403)):
            body = {"name": "mine"} if method == "POST" else None
            assert (await ask(http, method, path, body, headers=stranger))[0] == 404, method
            assert (await ask(http, method, path, body, headers=viewer))[0] == least, method
        nowhere = path.replace(project_id, "018f3a5c-7b1e-7c3a-9d2f-0123456789ab")
        assert (await ask(http, "POST", nowhere, {}, headers=_ADMIN))[0] == 404
        assert (await ask(http, "GET", "/v1/credentials", headers=stranger))[0] == 403


async def test_a_deleted_project_leaves_no_secret(app: App) -> None:
    project_id, other = await app.add_project(), await app.add_project("other")
    async with app.serve() as http:
        for each in (project_id, other):
            assert (await ask(http, "POST", f"/v1/projects/{each}/credentials/git", {}, headers=_ADMIN))[0] == 201
        assert (await ask(http, "DELETE", f"/v1/projects/{project_id}", headers=_ADMIN))[0] == 200
    assert [scope for scope, _ in app.secrets.kept] == [other]


async def test_a_kept_key_is_named_by_its_secret_ref_as_older_clients_do(app: App) -> None:
    project_id = await app.add_project()
    path = f"/v1/projects/{project_id}/credentials/git"
    async with app.serve() as http:
        _, key = await ask(http, "POST", path, {}, headers=_ADMIN)
        await ask(http, "POST", path, {"name": "taken"}, headers=_ADMIN)
        _, login = await ask(http, "POST", path, {"name": "https", "username": "u", "password": "p"}, headers=_ADMIN)
        asked = {"name": "deploy", "kind": "SshDeployKey", "secret_ref": f"git-{key['id']}"}
        for _ in range(2):
            status, named = await ask(http, "POST", "/v1/credentials/git", asked, headers=_ADMIN)
            assert status == 200
            assert named == {**asked, "id": key["id"], "project_id": project_id}
        _, listed = await ask(http, "GET", path, headers=_ADMIN)
        assert [each["name"] for each in listed] == ["deploy", "https", "taken"]
        for change, status in (
            ({"name": "taken"}, 409),
            ({"name": "a name"}, 400),
            ({"kind": "RegistryBasic"}, 400),
            ({"secret_ref": "nothing"}, 400),
            ({"secret_ref": f"git-{login['id']}"}, 400),
        ):
            assert (await ask(http, "POST", "/v1/credentials/git", {**asked, **change}, headers=_ADMIN))[0] == status
