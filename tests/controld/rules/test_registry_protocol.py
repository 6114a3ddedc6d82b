"""References become addresses of manifests, and challenges their parts."""

from __future__ import annotations

import pytest

from controld.rules.registry_protocol import Challenge, is_this_machine, locate_manifest, parse_challenge, parse_digest

_DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("reference", "url"),
    [
        ("ghcr.io/team/app:1", "https://ghcr.io/v2/team/app/manifests/1"),
        ("ghcr.io/team/app", "https://ghcr.io/v2/team/app/manifests/latest"),
        ("quay.io:8443/app:a.b", "https://quay.io:8443/v2/app/manifests/a.b"),
        (f"ghcr.io/team/app@{_DIGEST}", f"https://ghcr.io/v2/team/app/manifests/{_DIGEST}"),
        (f"ghcr.io/team/app:1@{_DIGEST}", f"https://ghcr.io/v2/team/app/manifests/{_DIGEST}"),
        ("docker.io/nginx:1", "https://registry-1.docker.io/v2/library/nginx/manifests/1"),
        ("docker.io/team/app:1", "https://registry-1.docker.io/v2/team/app/manifests/1"),
        ("127.0.0.1:5000/app:1", "http://127.0.0.1:5000/v2/app/manifests/1"),
        ("[::1]:5000/app:1", "http://[::1]:5000/v2/app/manifests/1"),
        ("10.0.0.1:5000/app:1", "https://10.0.0.1:5000/v2/app/manifests/1"),
    ],
)
def test_a_manifest_is_where_its_reference_says(reference: str, url: str) -> None:
    assert locate_manifest(reference).url == url


def test_a_challenge_is_taken_apart() -> None:
    header = 'Bearer realm="https://auth.example/token?x=1",service="images", scope="repository:a:pull,push"'
    assert parse_challenge(header) == Challenge(
        "bearer",
        {"realm": "https://auth.example/token?x=1", "service": "images", "scope": "repository:a:pull,push"},
    )
    assert parse_challenge('Basic Realm="x"') == Challenge("basic", {"realm": "x"})
    assert parse_challenge("") == Challenge("", {})


@pytest.mark.parametrize("header", [None, "", "sha256:1", "sha512:" + "a" * 128, _DIGEST + "\n"])
def test_a_digest_that_no_engine_could_pull_is_none(header: str | None) -> None:
    assert parse_digest(header) is None


def test_a_digest_is_told_as_it_is() -> None:
    assert parse_digest(_DIGEST) == _DIGEST


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:5000", "127.0.0.1", "127.9.9.9:1", "[::1]:5000"])
def test_this_machine_is_known_by_its_names(host: str) -> None:
    assert is_this_machine(host)
    assert not is_this_machine("10.0.0.1:5000")
    assert not is_this_machine("localhost.example")
