"""What signs in to a registry is made from what was kept for that registry, and for no other."""

from __future__ import annotations

import pytest

from controld.model.external_registry import ExternalRegistryDraft, RegistryAuth
from controld.rules.external_registry import check_registry, make_login, make_secret
from kit.faults import Invalid
from wire.agent.builds import RegistryLogin


def _draft(kind: RegistryAuth, endpoint: str = "ghcr.io") -> ExternalRegistryDraft:
    return ExternalRegistryDraft(
        name="r", endpoint=endpoint, auth_kind=kind, username="bot", password="p:1", token="t-1"
    )


@pytest.mark.parametrize(
    ("kind", "login"),
    [
        (RegistryAuth.BASIC, RegistryLogin(username="bot", password="p:1")),
        (RegistryAuth.TOKEN, RegistryLogin(token="t-1")),
        (RegistryAuth.ECR_TOKEN, RegistryLogin(username="AWS", password="t-1")),
        (RegistryAuth.GAR_TOKEN, RegistryLogin(username="oauth2accesstoken", password="t-1")),
    ],
)
def test_each_kind_signs_in_in_its_own_way(kind: RegistryAuth, login: RegistryLogin) -> None:
    assert make_login(kind, make_secret(_draft(kind)), endpoint="ghcr.io") == login


def test_an_anonymous_one_keeps_nothing() -> None:
    assert make_secret(_draft(RegistryAuth.ANONYMOUS)) == {}


def test_what_was_kept_for_one_host_never_goes_to_another() -> None:
    secret = make_secret(_draft(RegistryAuth.BASIC))
    with pytest.raises(Invalid) as caught:
        make_login(RegistryAuth.BASIC, secret, endpoint="evil.example")
    assert "p:1" not in caught.value.message


def test_what_was_kept_for_one_kind_is_not_used_as_another() -> None:
    with pytest.raises(Invalid):
        make_login(RegistryAuth.TOKEN, make_secret(_draft(RegistryAuth.BASIC)), endpoint="ghcr.io")


@pytest.mark.parametrize("endpoint", ["localhost:5000", "127.0.0.1:5000", "10.0.0.7:5000", "registry.localhost"])
def test_a_registry_inside_is_allowed_by_the_setting_alone(endpoint: str) -> None:
    draft = _draft(RegistryAuth.BASIC, endpoint)
    check_registry(draft, allow_private=True)
    with pytest.raises(Invalid):
        check_registry(draft, allow_private=False)


@pytest.mark.parametrize("endpoint", ["registry", "a b.example", "https://a.example", "a.example/x", "a.example:0", ""])
def test_what_is_no_host_is_refused_whatever_the_setting(endpoint: str) -> None:
    with pytest.raises(Invalid):
        check_registry(_draft(RegistryAuth.BASIC, endpoint), allow_private=True)


def test_secrets_are_not_in_the_words_for_a_draft_or_a_login() -> None:
    assert "p:1" not in repr(_draft(RegistryAuth.BASIC))
    assert "t-1" not in repr(RegistryLogin(token="t-1"))
