"""The host keys that are shipped are those that the forges publish."""

from __future__ import annotations

import base64
import hashlib

from controld.rules.known_hosts import FORGES, join_known_hosts
from kit.ssh_keys import check_known_hosts

_PUBLISHED = {
    "github.com": "+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU",
    "gitlab.com": "eUXGGm1YGsMAS7vkcx6JOJdOGHPem5gQp4taiCfCLB8",
    "bitbucket.org": "ybgmFkzwOSotHTHLJgHO0QN8L0xErw6vd0VhFA9m3SM",
    "codeberg.org": "mIlxA9k46MmM6qdJOdMnAQpzGxF4WIVVL+fj+wZbw0g",
    "git.sr.ht": "WXXNZu0YyoE3KBl5qh4GsnF1vR0NeEPYJAiPME+P09g",
}


def test_each_forge_has_the_fingerprint_of_its_documentation() -> None:
    check_known_hosts(FORGES)
    found = {}
    for line in FORGES.splitlines():
        host, _, key = line.split()
        digest = hashlib.sha256(base64.b64decode(key)).digest()
        found[host] = base64.b64encode(digest).decode().rstrip("=")
    assert {host: found[host] for host in _PUBLISHED} == _PUBLISHED


def test_parts_are_joined_by_lines() -> None:
    assert join_known_hosts("a k v", None, "  ", "b k v\n\n") == "a k v\nb k v\n"
