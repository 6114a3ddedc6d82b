"""Keys are made and read as OpenSSH's own tools tell them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from kit.ssh_keys import KeyRefused, KnownHostsRefused, SshKey, check_known_hosts, make_key, parse_key


def _generate(folder: Path, *arguments: str) -> Path:
    file = folder / "key"
    subprocess.run(["ssh-keygen", "-q", "-f", file, "-C", "", *arguments], check=True, timeout=60)
    return file


def _told(file: Path) -> str:
    done = subprocess.run(["ssh-keygen", "-l", "-f", file], check=True, capture_output=True, text=True, timeout=60)
    return done.stdout.split()[1]


@pytest.mark.parametrize(
    "arguments",
    [
        ("-t", "ed25519"),
        ("-t", "ecdsa"),
        ("-t", "rsa", "-b", "2048"),
        ("-t", "rsa", "-b", "2048", "-m", "PEM"),
        ("-t", "rsa", "-b", "2048", "-m", "PKCS8"),
    ],
)
def test_a_given_key_is_read_with_the_public_half_and_fingerprint_of_ssh_keygen(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    file = _generate(tmp_path, "-N", "", *arguments)
    key = parse_key(file.read_text())
    assert key.public_key == file.with_suffix(".pub").read_text().strip()
    assert key.fingerprint == _told(file)
    assert parse_key(key.private_key).public_key == key.public_key


def test_a_made_key_is_one_that_ssh_keygen_reads(tmp_path: Path) -> None:
    key = make_key()
    file = tmp_path / "key"
    file.touch(mode=0o600)
    file.write_text(key.private_key)
    assert key.public_key.startswith("ssh-ed25519 ")
    assert _told(file) == key.fingerprint
    assert key.private_key not in repr(key)
    assert isinstance(key, SshKey)


@pytest.mark.parametrize("format_", [(), ("-m", "PEM"), ("-m", "PKCS8")])
def test_a_key_behind_a_passphrase_is_refused_as_such(tmp_path: Path, format_: tuple[str, ...]) -> None:
    file = _generate(tmp_path, "-t", "rsa", "-b", "2048", "-N", "long enough", *format_)
    with pytest.raises(KeyRefused, match="passphrase"):
        parse_key(file.read_text())


@pytest.mark.parametrize(
    "text", ["", "nonsense", "ssh-ed25519 AAAA", "x" * 17_000, "-----BEGIN PRIVATE KEY-----\nAA\n"]
)
def test_what_is_no_private_key_is_refused(text: str) -> None:
    with pytest.raises(KeyRefused):
        parse_key(text)


def test_a_short_rsa_key_is_refused(tmp_path: Path) -> None:
    file = _generate(tmp_path, "-t", "rsa", "-b", "1024", "-N", "")
    with pytest.raises(KeyRefused, match="2048"):
        parse_key(file.read_text())


def test_known_hosts_are_lines_of_host_type_and_key() -> None:
    key = make_key().public_key
    check_known_hosts(f"# mine\n\nhost.example,192.0.2.1 {key}\n[host.example]:2222 {key} a comment\n|1|x|y {key}\n")


@pytest.mark.parametrize("line", ["host", "host ssh-ed25519", "host ssh-rsa AAAA", "@cert-authority * KEY", "* x KEY"])
def test_other_lines_are_refused_by_their_number(line: str) -> None:
    with pytest.raises(KnownHostsRefused, match="line 2"):
        check_known_hosts("# mine\n" + line.replace("KEY", make_key().public_key))
