"""An identity that cannot be used is named with its file, and with what would help."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agent.core.faults import IdentityUnreadable
from agent.host.identity_files import IdentityFiles

KEPT = {
    "format": 1,
    "node_id": "n1",
    "name": "vm",
    "control_url": "https://localhost:7181",
    "authority_pem": "not a certificate",
    "certificate_pem": "not a certificate",
    "key_pem": "not a key",
    "serial": "1",
    "not_after_at": "2030-01-01T00:00:00Z",
    "renew_at": "2029-01-01T00:00:00Z",
}


async def test_a_machine_without_an_identity_has_none(tmp_path: Path) -> None:
    assert await IdentityFiles(tmp_path).read() is None


@pytest.mark.parametrize("text", ["", "{", json.dumps(KEPT)[:-40], json.dumps(KEPT | {"format": 2})])
async def test_a_damaged_identity_is_told_with_its_file(tmp_path: Path, text: str) -> None:
    (tmp_path / "identity.json").write_text(text)
    with pytest.raises(IdentityUnreadable, match=r"identity\.json"):
        await IdentityFiles(tmp_path).read()


async def test_certificates_that_tls_refuses_are_told_with_their_file(tmp_path: Path) -> None:
    (tmp_path / "identity.json").write_text(json.dumps(KEPT))
    files = IdentityFiles(tmp_path)
    for make in (files.make_client_context, files.make_server_context):
        with pytest.raises(IdentityUnreadable, match=r"identity\.json.*enrol"):
            await make()
