"""Image references and refusals, by example."""

from __future__ import annotations

import pytest

from agent.rules.image_references import Refused, decide_refusal, find_registry, hide_secret, split_reference

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("reference", "parts"),
    [
        ("busybox", ("busybox", "latest")),
        ("busybox:1.36", ("busybox", "1.36")),
        ("127.0.0.1:5000/a/b", ("127.0.0.1:5000/a/b", "latest")),
        ("127.0.0.1:5000/a/b:c", ("127.0.0.1:5000/a/b", "c")),
        (f"host.example/a@{DIGEST}", ("host.example/a", DIGEST)),
        (f"127.0.0.1:5000/a:c@{DIGEST}", ("127.0.0.1:5000/a", DIGEST)),
    ],
)
def test_a_reference_is_a_repository_and_a_tag_or_digest(reference: str, parts: tuple[str, str]) -> None:
    assert split_reference(reference) == parts


@pytest.mark.parametrize(
    ("reference", "registry"),
    [
        ("busybox", "docker.io"),
        ("library/busybox", "docker.io"),
        ("localhost/a", "localhost"),
        ("127.0.0.1:5000/a", "127.0.0.1:5000"),
        ("host.example/a/b:c", "host.example"),
    ],
)
def test_the_registry_is_what_stands_before_the_first_slash(reference: str, registry: str) -> None:
    assert find_registry(reference) == registry


@pytest.mark.parametrize(
    ("sentence", "refused"),
    [
        ("manifest for a:b not found: manifest unknown: manifest unknown", Refused.MISSING),
        ("pull access denied for a, repository does not exist or may require 'docker login'", Refused.DENIED),
        ("Get https://x/v2/: unauthorized: authentication required", Refused.DENIED),
        ("no basic auth credentials", Refused.DENIED),
        ("dial tcp 127.0.0.1:9: connect: connection refused", Refused.OTHER),
        ("toomanyrequests: slow down", Refused.OTHER),
    ],
)
def test_a_refusal_is_told_apart_by_its_sentence(sentence: str, refused: Refused) -> None:
    assert decide_refusal(sentence) is refused


def test_a_secret_that_a_registry_repeats_is_hidden() -> None:
    assert hide_secret("bad password hunter2!", "hunter2") == "bad password ***!"
    assert hide_secret("plain", None) == "plain"
    assert hide_secret("plain", "") == "plain"
