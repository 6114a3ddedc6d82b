"""What a hostname is, and the one that each service is given."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controld.rules.hostnames import find_hostname_problem, is_reserved, make_assigned_hostname


@pytest.mark.parametrize("text", ["a.b", "web.example.com", "xn--bcher-kva.example", "1.a", "a-b.c", f"{'a' * 63}.com"])
def test_these_are_hostnames(text: str) -> None:
    assert find_hostname_problem(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "localhost",
        "Web.example.com",
        "*.example.com",
        "a.b.",
        ".a.b",
        "a..b",
        "-a.b",
        "a-.b",
        "a_b.c",
        "a.b:80",
        "a.b/c",
        "a b.c",
        "127.0.0.1",
        "::1",
        f"{'a' * 64}.com",
        ".".join(["abcd"] * 60),
        "a.b\n",
        "bücher.example",
    ],
)
def test_these_are_none(text: str) -> None:
    assert find_hostname_problem(text) is not None


def test_the_platform_keeps_its_own_names() -> None:
    for hostname in ("apps.example.com", "web.apps.example.com", "control.example.com"):
        assert is_reserved(hostname, base_domain="apps.example.com", control_domain="control.example.com")
    assert not is_reserved("myapps.example.com", base_domain="apps.example.com", control_domain=None)


def test_a_service_is_given_its_own_and_its_projects_name() -> None:
    assert make_assigned_hostname("Web_1", "My Shop", base_domain="localhost") == "web-1-my-shop.localhost"
    assert make_assigned_hostname("web", "p", base_domain="b.c", suffix="0af1") == "web-p-0af1.b.c"


@given(st.text(min_size=1, max_size=255), st.text(min_size=1, max_size=255))
def test_what_is_given_is_always_a_hostname(service: str, project: str) -> None:
    assert find_hostname_problem(make_assigned_hostname(service, project, base_domain="localhost")) is None
