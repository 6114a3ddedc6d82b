"""The tar of a build context: made in pieces, without what is ignored, links kept as links."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from agent.host.docker.context import BuildContext


async def make(folder: Path) -> tarfile.TarFile:
    context = BuildContext(folder, dockerfile="Dockerfile")
    data = b"".join([piece async for piece in context])
    context.close()
    return tarfile.open(fileobj=io.BytesIO(data))


async def test_files_keep_their_bytes_modes_and_names_and_belong_to_root(tmp_path: Path) -> None:
    long = "d" * 200 + "/" + "f" * 200
    (tmp_path / long).parent.mkdir()
    for name, data in {"Dockerfile": b"FROM scratch", "empty": b"", "odd": b"x" * 513, long: b"y"}.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / os.fsdecode(b"bad-\xff")).write_bytes(b"z")
    (tmp_path / "odd").chmod(0o751)
    tar = await make(tmp_path)
    members = {member.name: member for member in tar}

    assert set(members) == {"Dockerfile", "empty", "odd", "d" * 200, long, os.fsdecode(b"bad-\xff")}
    assert members["odd"].mode == 0o751
    assert {(member.uid, member.gid, member.uname) for member in tar} == {(0, 0, "")}
    content = tar.extractfile("odd")
    assert content is not None
    assert content.read() == b"x" * 513


async def test_links_stay_links_and_what_they_lead_to_stays_outside(tmp_path: Path) -> None:
    folder = tmp_path / "context"
    folder.mkdir()
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "key").write_text("secret")
    (folder / "out").symlink_to(tmp_path / "secret")
    (folder / "dangling").symlink_to("nowhere")
    (folder / "a").write_text("same")
    (folder / "b").hardlink_to(folder / "a")
    os.mkfifo(folder / "pipe")
    members = {member.name: member for member in await make(folder)}

    assert members["out"].issym()
    assert members["dangling"].linkname == "nowhere"
    assert (members["b"].islnk(), members["b"].linkname) == (True, "a")
    assert set(members) == {"out", "dangling", "a", "b"}


async def test_a_list_of_ignored_files_that_leads_outside_is_not_read(tmp_path: Path) -> None:
    folder = tmp_path / "context"
    folder.mkdir()
    (tmp_path / "elsewhere").write_text("*\n")
    (folder / ".dockerignore").symlink_to(tmp_path / "elsewhere")
    (folder / "kept").write_text("x")
    assert "kept" in (await make(folder)).getnames()


async def test_a_large_file_comes_in_small_pieces(tmp_path: Path) -> None:
    with (tmp_path / "large").open("wb") as file:
        file.truncate(5_000_000)
    context = BuildContext(tmp_path, dockerfile="Dockerfile")
    sizes = [len(piece) async for piece in context]
    context.close()
    assert max(sizes) < 1_000_000
    assert sum(sizes) > 5_000_000


async def test_a_folder_that_cannot_be_read_is_remembered_as_the_failure(tmp_path: Path) -> None:
    context = BuildContext(tmp_path / "absent", dockerfile="Dockerfile")
    with pytest.raises(OSError, match="absent"):
        await anext(aiter(context))
    context.close()
    assert "absent" in str(context.failure)
