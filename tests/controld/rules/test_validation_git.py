"""Which repositories, refs and sign-ins may be written down."""

from __future__ import annotations

import pytest

from controld.model.service import GitSource
from controld.rules.validation_git import check_credential_name, check_https_login, check_ref, check_repository
from kit.faults import Invalid


def _source(url: str) -> GitSource:
    return GitSource(repo_url=url, git_ref="main", dockerfile_path="D", context_path=".", credential="default")


@pytest.mark.parametrize("ref", ["main", "HEAD", "v1.2.3", "feature/x-1", "refs/heads/a", "0123abc", "a" * 255, "ü"])
def test_what_git_lets_a_ref_be_named_is_taken(ref: str) -> None:
    check_ref(ref)


@pytest.mark.parametrize(
    "ref",
    [
        *("", "-x", "--upload-pack=x", "/a", "a/", "a//b", "a..b", "a b", "a\nb", "a~1", "a^", "a:b", "a?", "a*", "a["),
        *("a\\b", "a.lock", "a@{1}", "@", ".a", "a/.b", "a.", "a" * 256, "main:refs/heads/x"),
    ],
)
def test_what_could_mean_more_than_a_name_is_refused(ref: str) -> None:
    with pytest.raises(Invalid):
        check_ref(ref)


@pytest.mark.parametrize("url", ["https://github.com/a/b", "git@github.com:a/b.git", "ssh://git@h.example:2222/a"])
def test_a_repository_of_the_world_is_fine(url: str) -> None:
    check_repository(_source(url), allow_private_hosts=False)


@pytest.mark.parametrize(
    "url",
    [
        *("http://github.com/a", "https://127.0.0.1/a", "https://localhost/a", "git@10.0.0.1:a", "ssh://[::1]/a"),
        *("https://[::1]/a", "https://2130706433/a", "https://a.localhost/x", "https://169.254.169.254/latest"),
    ],
)
def test_one_inside_is_for_platforms_that_allow_it(url: str) -> None:
    with pytest.raises(Invalid):
        check_repository(_source(url), allow_private_hosts=False)
    check_repository(_source(url), allow_private_hosts=True)


def test_an_address_that_carries_a_password_is_refused_without_repeating_it() -> None:
    with pytest.raises(Invalid) as caught:
        check_repository(_source("https://bot:secret@github.com/a"), allow_private_hosts=True)
    assert "credential" in caught.value.message
    assert "secret" not in caught.value.message


@pytest.mark.parametrize("name", ["", "a b", "a/b", "ä", "x" * 129])
def test_a_name_that_is_no_word_is_refused(name: str) -> None:
    with pytest.raises(Invalid):
        check_credential_name(name)


@pytest.mark.parametrize(
    "login", [(None, "p"), ("u", None), ("", "p"), ("u", "p\n"), ("u\x00", "p"), ("u" * 5000, "p")]
)
def test_a_sign_in_has_a_user_and_a_password_of_one_line(login: tuple[str | None, str | None]) -> None:
    with pytest.raises(Invalid):
        check_https_login(*login)
