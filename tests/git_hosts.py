"""Real hosts of repositories on loopback: https by git's own backend, ssh by OpenSSH's daemon, and what they hold."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import dataclasses
import datetime as dt
import ipaddress
import os
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

from aiohttp import web

from kit.ssh_keys import SshKey, make_key
from tests.fixtures.network import find_free_port

_IDENTITY: Final = {"GIT_AUTHOR_NAME": "t", "GIT_AUTHOR_EMAIL": "t@t", "GIT_COMMITTER_NAME": "t"}
_ENVIRONMENT: Final = {**os.environ, **_IDENTITY, "GIT_COMMITTER_EMAIL": "t@t", "GIT_CONFIG_GLOBAL": "/dev/null"}
LOGIN: Final = ("bot", "pass-word/1")


def git(folder: Path, *arguments: str) -> str:
    """What git prints in the folder; files may be submodules' hosts there."""
    done = subprocess.run(
        ["git", "-c", "protocol.file.allow=always", "-c", "init.defaultBranch=main", *arguments],
        cwd=folder,
        env=_ENVIRONMENT,
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.stdout.strip()


@dataclasses.dataclass(frozen=True, slots=True)
class Repository:
    """A repository below a folder that a host serves."""

    folder: Path

    @classmethod
    def make(cls, folder: Path) -> Repository:
        """An empty one."""
        folder.mkdir(parents=True)
        git(folder, "init", "-q")
        return cls(folder)

    def commit(self, files: dict[str, str]) -> str:
        """The id of a commit that adds these files; a text that begins with `->` makes a link."""
        for name, text in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
            if text.startswith("->"):
                path.symlink_to(text[2:])
            else:
                path.write_text(text)
        git(self.folder, "add", "-A")
        git(self.folder, "commit", "-q", "--allow-empty", "-m", "work")
        return git(self.folder, "rev-parse", "HEAD")

    def add_submodule(self, path: str, url: str, *, commit: str) -> str:
        """The id of a commit that pins another repository's commit at a path."""
        with (self.folder / ".gitmodules").open("a") as modules:
            modules.write(f'[submodule "{path}"]\n\tpath = {path}\n\turl = {url}\n')
        git(self.folder, "add", ".gitmodules")
        git(self.folder, "update-index", "--add", "--cacheinfo", f"160000,{commit},{path}")
        git(self.folder, "commit", "-q", "-m", "submodule")
        return git(self.folder, "rev-parse", "HEAD")


@dataclasses.dataclass(slots=True)
class HttpsHost:
    """Serves `root`; everything under `private/` wants `LOGIN`. `hold` keeps packs back until it is set."""

    root: Path
    port: int
    authorities_pem: str
    hold: asyncio.Event
    dumb: bool = False
    asked: list[str] = dataclasses.field(default_factory=list)
    """The host that was meant, the path, and the Authorization header of each request."""

    def url(self, path: str) -> str:
        """The address of a repository."""
        return f"https://127.0.0.1:{self.port}/{path}"

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer as `git http-backend` does."""
        path, authorization = request.path, request.headers.get("Authorization", "")
        self.asked.append(f"{request.host} {path} {authorization}")
        wanted = "Basic " + base64.b64encode(":".join(LOGIN).encode()).decode()
        if path.startswith("/private/") and authorization != wanted:
            return web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="x"'})
        if path.startswith("/moved/"):
            return web.Response(status=301, headers={"Location": f"https://127.0.0.1:{self.port}/{path[7:]}"})
        if self.dumb:
            file = self.root / path.lstrip("/")
            return web.FileResponse(file) if file.is_file() else web.Response(status=404)
        if path.endswith("/git-upload-pack"):
            await self.hold.wait()
        return await self._run(request)

    async def _run(self, request: web.Request) -> web.StreamResponse:
        environment = {
            **_ENVIRONMENT,
            "GIT_PROJECT_ROOT": str(self.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": request.path,
            "QUERY_STRING": request.query_string,
            "REQUEST_METHOD": request.method,
            "CONTENT_TYPE": request.headers.get("Content-Type", ""),
            "HTTP_CONTENT_ENCODING": request.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": request.headers.get("Git-Protocol", ""),
        }
        process = await asyncio.create_subprocess_exec(
            "git",
            "http-backend",
            env=environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        output, _ = await process.communicate(await request.read())
        head, _, body = output.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().splitlines())
        status = int(headers.pop("Status", "200").split()[0])
        return web.Response(status=status, headers=headers, body=body)


@contextlib.asynccontextmanager
async def serve_https(root: Path, scratch: Path) -> AsyncIterator[HttpsHost]:
    """Serve the repositories below `root` while the block runs."""
    certificate, key, authorities = await asyncio.to_thread(_make_certificate, scratch)
    hold = asyncio.Event()
    hold.set()
    host = HttpsHost(root, find_free_port(), authorities, hold)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    app = web.Application(client_max_size=2**28)
    app.router.add_route("*", "/{path:.*}", host.handle)
    runner = web.AppRunner(app, handler_cancellation=True, auto_decompress=False, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", host.port, ssl_context=context).start()
    try:
        yield host
    finally:
        host.hold.set()
        await runner.cleanup()


def _make_certificate(scratch: Path) -> tuple[Path, Path, str]:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(
            x509.SubjectAlternativeName(
                [
                    x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
                    x509.DNSName("localhost"),
                    x509.DNSName("git.example"),
                ]
            ),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM).decode()
    scratch.mkdir(parents=True, exist_ok=True)
    (scratch / "host.pem").write_text(pem)
    (scratch / "host.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return scratch / "host.pem", scratch / "host.key", pem


@dataclasses.dataclass(frozen=True, slots=True)
class SshHost:
    """Serves every repository of this machine to the holder of `client`, and of what is authorized besides."""

    port: int
    client: SshKey
    known_hosts: str
    authorized: Path

    def authorize(self, public_key: str) -> None:
        """Let in who holds the private half, too."""
        with self.authorized.open("a") as file:
            file.write(public_key + "\n")

    def url(self, folder: Path) -> str:
        """The address of a repository."""
        return f"ssh://root@127.0.0.1:{self.port}{folder}"


@contextlib.contextmanager
def serve_ssh(scratch: Path) -> Iterator[SshHost]:
    """OpenSSH's daemon on a free port of loopback while the block runs."""
    if shutil.which("sshd") is None:
        raise AssertionError("no sshd; run the tests with scripts/test, which installs it")
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    scratch.mkdir(parents=True, mode=0o700)
    host_key, client, port = make_key(), make_key(), find_free_port()
    for name, text in (("host", host_key.private_key), ("authorized", client.public_key + "\n")):
        (scratch / name).touch(mode=0o600)
        (scratch / name).write_text(text)
    config = scratch / "sshd_config"
    config.write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {scratch}/host\nAuthorizedKeysFile {scratch}/authorized\n"
        "PermitRootLogin prohibit-password\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nUsePAM no\n"
        "StrictModes no\nPidFile none\nLogLevel ERROR\nAcceptEnv GIT_PROTOCOL\n"
        'ForceCommand git -c safe.directory=* shell -c "$SSH_ORIGINAL_COMMAND"\n'
    )
    program = shutil.which("sshd") or "sshd"
    daemon = subprocess.Popen([program, "-D", "-e", "-f", str(config)], stderr=subprocess.DEVNULL)
    try:
        yield SshHost(port, client, f"[127.0.0.1]:{port} {host_key.public_key}\n", scratch / "authorized")
    finally:
        daemon.kill()
        daemon.wait(timeout=10)
