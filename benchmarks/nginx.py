"""One nginx process beside ours, which stores what is PUT and sends what it has."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.measure import SERVER_CORE, find_free_port, process, wait_for_port

_CONFIG: Final = """
daemon off;
user root;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
master_process off;
events {{ worker_connections 64; }}
http {{
  access_log off;
  sendfile on;
  client_body_temp_path {folder}/parts;
  client_max_body_size 0;
  server {{
    listen 127.0.0.1:{port};
    location / {{ root {folder}/stored; dav_methods PUT; }}
  }}
}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Nginx:
    """A process that serves a folder."""

    pid: int
    port: int
    folder: Path

    @property
    def url(self) -> str:
        """Where the folder is."""
        return f"http://127.0.0.1:{self.port}"


@contextlib.contextmanager
def running_nginx(folder: Path) -> Iterator[Nginx]:
    """Nginx on the server's core over `folder/stored`, stopped afterwards."""
    port = find_free_port()
    (folder / "stored").mkdir()
    config = folder / "nginx.conf"
    config.write_text(_CONFIG.format(folder=folder, port=port))
    with process(["nginx", "-c", str(config), "-p", str(folder)], core=SERVER_CORE) as pid:
        wait_for_port(port)
        yield Nginx(pid=pid, port=port, folder=folder / "stored")
