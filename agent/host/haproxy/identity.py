"""The certificate under which HAProxy speaks with other nodes, beside the files that it starts from.

A copy of its own: whatever becomes of the agent's folder, HAProxy starts.
"""

from __future__ import annotations

import hashlib
import ssl
from pathlib import Path

from agent.core.faults import IdentityUnreadable
from agent.host.haproxy.config import HaproxyPaths
from agent.model.identity import Identity
from kit.files import replace_file


def write_identity(paths: HaproxyPaths, identity: Identity) -> None:
    """Keep it, mode 0600; raises IdentityUnreadable for one that HAProxy could not start with."""
    paths.state.mkdir(mode=0o755, parents=True, exist_ok=True)
    pair = (identity.certificate_pem + identity.key_pem).encode()
    if _read(paths.pair) == pair and _read(paths.authority) == identity.authority_pem.encode():
        return
    replace_file(paths.authority, identity.authority_pem.encode())
    replace_file(paths.pair, pair)
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(paths.pair)
        context.load_verify_locations(paths.authority)
    except ssl.SSLError as error:
        paths.pair.unlink()
        raise IdentityUnreadable(f"cannot speak to other nodes by the node's certificate: {error}") from error


def find_identity(paths: HaproxyPaths) -> str | None:
    """A name for the identity that is kept, different for each; None when there is none."""
    pair, authority = _read(paths.pair), _read(paths.authority)
    if pair is None or authority is None:
        return None
    return f"identity {hashlib.sha256(pair + authority).hexdigest()[:16]}"


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
