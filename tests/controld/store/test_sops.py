"""Documents open for those they were sealed for, and for nobody once something in them was changed."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controld.store import sops

_NOW = dt.datetime(2027, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
_OURS, _THEIRS = sops.make_identity(), sops.make_identity()
_NAMES = st.text(min_size=1, max_size=20).filter(lambda name: name != "sops")


def _seal(values: dict[str, str], *identities: str) -> bytes:
    recipients = [sops.find_recipient(identity) for identity in identities or (_OURS,)]
    return sops.seal_document(values, recipients=recipients, modified_at=_NOW)


@given(values=st.dictionaries(_NAMES, st.text(max_size=200), max_size=5))
def test_every_text_under_every_name_comes_back_and_none_is_readable(values: dict[str, str]) -> None:
    sealed = _seal(values)
    assert sops.open_document(sealed, identities=[_OURS]) == values
    document = json.loads(sealed)
    assert all(document[name] == "" or document[name].startswith("ENC[") for name in values)


def test_each_recipient_opens_it_and_nobody_else() -> None:
    sealed = _seal({"a": "1"}, _OURS, _THEIRS)
    assert sops.open_document(sealed, identities=[_THEIRS]) == {"a": "1"}
    assert sops.open_document(sealed, identities=[sops.make_identity(), _OURS]) == {"a": "1"}
    with pytest.raises(sops.DocumentShut, match="none of our age keys"):
        sops.open_document(sealed, identities=[sops.make_identity()])


def test_the_same_values_are_never_sealed_alike() -> None:
    assert json.loads(_seal({"a": "1"}))["a"] != json.loads(_seal({"a": "1"}))["a"]


def _swap(document: dict[str, Any]) -> None:
    document["a"], document["b"] = document["b"], document["a"]


def _drop(document: dict[str, Any]) -> None:
    del document["a"]


def _empty(document: dict[str, Any]) -> None:
    document["a"] = ""


def _null(document: dict[str, Any]) -> None:
    document["a"] = None


def _plain(document: dict[str, Any]) -> None:
    document["a"] = "mine"


def _add(document: dict[str, Any]) -> None:
    document["c_unencrypted"] = "mine"


def _unhide(document: dict[str, Any]) -> None:
    document["sops"]["encrypted_regex"] = "^x"


def _age(document: dict[str, Any]) -> None:
    document["sops"]["lastmodified"] = "2027-01-02T03:04:06Z"


def _nest(document: dict[str, Any]) -> None:
    document["a"] = {"a": document["a"]}


def _forget(document: dict[str, Any]) -> None:
    del document["sops"]["mac"]


def _split(document: dict[str, Any]) -> None:
    document["sops"]["key_groups"] = []


def _pattern(document: dict[str, Any]) -> None:
    document["sops"]["encrypted_regex"] = "("


@pytest.mark.parametrize(
    "change", [_swap, _drop, _empty, _null, _plain, _add, _unhide, _age, _nest, _forget, _split, _pattern]
)
def test_a_document_that_was_changed_without_its_key_stays_shut(change: Callable[[dict[str, Any]], None]) -> None:
    document = json.loads(_seal({"a": "first", "b": "second"}))
    change(document)
    with pytest.raises(sops.DocumentShut) as caught:
        sops.open_document(json.dumps(document).encode(), identities=[_OURS])
    assert "first" not in str(caught.value)


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"sops": 1}', b'{"sops": {"age": [{}]}}', b"\xff"])
def test_what_is_no_document_stays_shut(data: bytes) -> None:
    with pytest.raises(sops.DocumentShut):
        sops.open_document(data, identities=[_OURS])


def test_the_name_of_the_metadata_is_refused() -> None:
    with pytest.raises(ValueError, match="sops"):
        _seal({"sops": "1"})


def test_a_bad_key_is_refused_and_not_repeated() -> None:
    with pytest.raises(sops.BadAgeKey) as caught:
        sops.find_recipient("AGE-SECRET-KEY-1WRONG")
    assert "WRONG" not in str(caught.value)
    with pytest.raises(sops.BadAgeKey):
        sops.check_recipient("ssh-ed25519 AAAA")
