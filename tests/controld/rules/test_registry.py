"""How the registry's words are read."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controld.model.registry import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST
from controld.rules.registry import (
    compute_digest,
    is_digest,
    is_tag,
    parse_content_range,
    parse_manifest,
)

_A, _B = compute_digest(b"a"), compute_digest(b"b")


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        (_A, True),
        (compute_digest(b"a", like="sha512:"), True),
        (_A.upper(), False),
        (_A + "\n", False),
        (_A[:-1], False),
        ("sha256:", False),
        ("sha256:../../../../etc/passwd", False),
        ("sha1:" + "0" * 40, False),
        ("", False),
    ],
)
def test_a_digest_names_its_algorithm_and_every_digit(text: str, is_one: bool) -> None:
    assert is_digest(text) is is_one


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("latest", True),
        ("_1.0-rc", True),
        ("a" * 128, True),
        ("a" * 129, False),
        (".a", False),
        ("", False),
        ("a/b", False),
    ],
)
def test_a_tag(text: str, is_one: bool) -> None:
    assert is_tag(text) is is_one


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("0-0", (0, 0)),
        ("10-99", (10, 99)),
        ("bytes 10-99/200", (10, 99)),
        ("bytes 10-99/*", (10, 99)),
        ("9-3", None),
        ("-5", None),
        ("5-", None),
        ("a-b", None),
        ("1" * 19 + "-" + "2" * 19, None),
        ("", None),
    ],
)
def test_the_range_of_a_chunk(text: str, span: tuple[int, int] | None) -> None:
    assert parse_content_range(text) == span


def _descriptor(digest: str, media_type: str = "application/x", size: int = 1) -> dict[str, object]:
    return {"mediaType": media_type, "digest": digest, "size": size}


@pytest.mark.parametrize("media_type", [OCI_MANIFEST, DOCKER_MANIFEST])
def test_an_image_needs_its_configuration_and_the_layers_that_are_not_kept_elsewhere(media_type: str) -> None:
    elsewhere = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
    data = {
        "schemaVersion": 2,
        "config": _descriptor(_A),
        "layers": [_descriptor(_B), _descriptor(compute_digest(b"c"), elsewhere)],
    }
    facts = parse_manifest(json.dumps(data).encode(), media_type=media_type)
    assert facts.blobs == {_A, _B}
    assert facts.manifests == set()
    assert facts.artifact_type == "application/x"


@pytest.mark.parametrize("media_type", [OCI_INDEX, DOCKER_LIST])
def test_an_index_needs_its_manifests_and_its_other_blobs(media_type: str) -> None:
    data = {"schemaVersion": 2, "manifests": [_descriptor(_A, OCI_MANIFEST), _descriptor(_B)]}
    facts = parse_manifest(json.dumps(data).encode(), media_type=media_type)
    assert facts.manifests == {_A}
    assert facts.blobs == {_B}
    assert facts.artifact_type is None


@given(
    st.binary(max_size=200)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner) | st.dictionaries(st.sampled_from(["schemaVersion", "config", "layers", "x"]), inner)
        ),
    ).map(lambda value: json.dumps(value).encode())
)
def test_whatever_comes_is_read_or_refused(data: bytes) -> None:
    for media_type in (OCI_MANIFEST, OCI_INDEX):
        try:
            parse_manifest(data, media_type=media_type)
        except ValueError:
            continue
