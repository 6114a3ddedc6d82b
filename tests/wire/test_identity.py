"""Names in certificates."""

from __future__ import annotations

from wire.identity import CONTROL_URI, node_of_uri, node_uri


def test_the_uri_of_a_node_names_it_and_no_other_uri_does() -> None:
    assert node_of_uri(node_uri("n-1")) == "n-1"
    assert node_of_uri(CONTROL_URI) is None
    assert node_of_uri("moorage://node/") is None
    assert node_of_uri("https://moorage://node/n-1") is None
