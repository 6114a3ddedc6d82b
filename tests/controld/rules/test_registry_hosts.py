"""Images come from outside hosts only."""

from __future__ import annotations

import pytest

from controld.rules.registry_hosts import find_host_problem, find_image_host


@pytest.mark.parametrize(
    ("image", "host"),
    [
        ("nginx:1.27", None),
        ("library/nginx", None),
        ("ghcr.io/a/b:1", "ghcr.io"),
        ("host:5000/a", "host:5000"),
        ("localhost/a", "localhost"),
        ("[::1]:5000/a", "[::1]:5000"),
        ("", None),
    ],
)
def test_the_first_segment_is_a_host_when_it_looks_like_one(image: str, host: str | None) -> None:
    assert find_image_host(image) == host


@pytest.mark.parametrize(
    "host", ["ghcr.io", "registry.example.com:5000", "8.8.8.8", "[2606:4700::1111]:443", "REGISTRY.example"]
)
def test_an_outside_host_is_fine(host: str) -> None:
    assert find_host_problem(host) is None


@pytest.mark.parametrize(
    "host",
    [
        "",
        "https://ghcr.io",
        "ghcr.io/x",
        "a\\b",
        "user@ghcr.io",
        "gh cr.io",
        "gh_cr.io",
        "localhost",
        "LOCALHOST:5000",
        "a.localhost",
        "localhost.",
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f.0.0.1",
        "0177.0.0.1",
        "10.0.0.1:5000",
        "172.16.3.4",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "0.1.2.3",
        "255.255.255.255",
        "224.0.0.1",
        "[::1]",
        "[::]",
        "[fe80::1]:5000",
        "[fd00::1]",
        "[::ffff:127.0.0.1]",
        "[ff02::1]",
        "ghcr.io:0",
        "ghcr.io:http",
        "ghcr.io:70000",
    ],
)
def test_an_inside_or_broken_host_is_refused(host: str) -> None:
    assert find_host_problem(host) is not None
