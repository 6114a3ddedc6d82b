"""Recognises nodes by the certificate of their connection."""

from __future__ import annotations

from aiohttp import web

from controld.core.node_directory import NodeDirectory
from controld.model.caller import Caller
from kit.http.surface import peer_of
from kit.tls import peer_of_connection


class NodeAuth:
    """Says which node is at the other end of a request's connection."""

    def __init__(self, directory: NodeDirectory) -> None:
        self._directory = directory

    async def authenticate(self, request: web.Request) -> Caller | None:
        """The node, or None without a certificate; raises NodeRefused for one that speaks for no node any more."""
        transport = request.transport
        peer = None if transport is None else peer_of_connection(transport.get_extra_info("ssl_object"))
        if peer is None:
            return None
        return await self._directory.recognise(peer, address=peer_of(request))
