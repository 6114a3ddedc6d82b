"""How certificates name their holders.

A certificate carries two names of its holder: a URI, by which the one that is dialled recognises the caller, and a host
name below `moorage.internal`, which the one that dials asks for in the TLS handshake, so that nothing is sent to a
stranger. Addresses take no part in it: a holder may move.
"""

from __future__ import annotations

from typing import Final

CONTROL_URI: Final = "moorage://controld"
CONTROL_HOST: Final = "controld.moorage.internal"

_NODE_URI: Final = "moorage://node/"
_NODE_HOST: Final = ".nodes.moorage.internal"


def node_uri(node_id: str) -> str:
    """The URI in a node's certificate."""
    return _NODE_URI + node_id


def node_host(node_id: str) -> str:
    """The host name in a node's certificate."""
    return node_id + _NODE_HOST


def node_of_uri(uri: str) -> str | None:
    """The id of the node that the URI names, or None when it names something else."""
    return uri.removeprefix(_NODE_URI) or None if uri.startswith(_NODE_URI) else None
