"""Which addresses of repositories are taken, and what they say."""

from __future__ import annotations

import pytest

from kit.git_url import GitUrlRefused, parse_git_url, resolve_git_url


@pytest.mark.parametrize(
    ("text", "scheme", "user", "host", "port", "path"),
    [
        ("https://github.com/a/b.git", "https", None, "github.com", 443, "/a/b.git"),
        ("https://Git.Example:8443/a", "https", None, "git.example", 8443, "/a"),
        ("http://10.0.0.1/a", "http", None, "10.0.0.1", 80, "/a"),
        ("ssh://git@host.example:2222/a/b", "ssh", "git", "host.example", 2222, "/a/b"),
        ("ssh://host.example/a", "ssh", None, "host.example", 22, "/a"),
        ("git@github.com:a/b.git", "ssh", "git", "github.com", 22, "a/b.git"),
        ("host:a", "ssh", None, "host", 22, "a"),
        ("https://[2001:db8::1]/a", "https", None, "2001:db8::1", 443, "/a"),
    ],
)
def test_an_address_is_told_in_its_parts(
    text: str, scheme: str, user: str | None, host: str, port: int, path: str
) -> None:
    url = parse_git_url(text)
    assert (url.scheme, url.user, url.host, url.port, url.path, url.text) == (scheme, user, host, port, path, text)


@pytest.mark.parametrize(
    "text",
    [
        *("", "a", "/srv/repo", "./repo", "../repo", "C:\\repo", "-oProxyCommand=x", "--upload-pack=x", "x" * 2049),
        *("file:///srv/repo", "git://host/a", "ext::sh -c x", "ext::x", "ftp://host/a", "git+ssh://h/a", "HTTPS:///a"),
        *("https://user@host/a", "https://user:secret@host/a", "ssh://git:secret@host/a", "https://@host/a"),
        *("https://host", "https://host/", "ssh://host", "host:", "https:///a", "https://ho st/a", "https://host/a b"),
        *("https://host:0/a", "https://host:70000/a", "https://host:x/a", "https://host/a?x", "https://host/a#x"),
        *("ssh://-oProxyCommand=x/a", "-x@host:a", "ssh://-x@host/a", "-host:a", "host:-a", "https://h\u00f6st/a"),
        *("https://host/a\n", "https://host/\x00a", "git@[::1]:a", "user@host::a"),
    ],
)
def test_what_is_no_address_of_a_repository_is_refused(text: str) -> None:
    with pytest.raises(GitUrlRefused) as caught:
        parse_git_url(text)
    assert "secret" not in caught.value.message


def test_a_host_with_a_port_of_its_own_is_known_under_both() -> None:
    assert parse_git_url("ssh://git@h.example:2222/a").known_host == "[h.example]:2222"
    assert parse_git_url("git@h.example:a").known_host == "h.example"
    assert parse_git_url("https://h.example/a").origin == "https://h.example:443"


@pytest.mark.parametrize(
    ("parent", "text", "meant"),
    [
        ("https://h/a/b.git", "https://other/c", "https://other/c"),
        ("https://h/a/b.git", "../c.git", "https://h/a/c.git"),
        ("https://h/a/b.git/", "../../d/c", "https://h/d/c"),
        ("https://h/a/b", "./c", "https://h/a/b/c"),
        ("git@h:a/b.git", "../c.git", "git@h:a/c.git"),
        ("git@h:a/b.git", "../../c.git", "git@h:c.git"),
        ("git@h:b.git", "../c.git", "git@h:c.git"),
    ],
)
def test_a_relative_address_leads_on_from_its_parent(parent: str, text: str, meant: str) -> None:
    assert resolve_git_url(parent, text) == meant


@pytest.mark.parametrize(
    ("parent", "text"), [("https://h/a", "../../c"), ("https://h/a", "../../../c"), ("git@h:a", "../../c")]
)
def test_a_relative_address_never_leaves_its_host(parent: str, text: str) -> None:
    with pytest.raises(GitUrlRefused):
        parse_git_url(resolve_git_url(parent, text))
