"""The token endpoint: a credential in, a token of a few minutes out, as Docker's and OAuth 2's protocols have it."""

from __future__ import annotations

from typing import Final
from urllib.parse import parse_qs

from controld.api.registry.auth import read_token
from controld.api.registry.bodies import read_pieces
from controld.api.registry.shapes import IssuedToken, render_token
from controld.core.registry_tokens import PREFIX, RegistryTokens
from controld.rules.registry_scope import parse_scopes
from kit.faults import BadSyntax, Invalid, TooLarge, Unauthenticated
from kit.http.surface import Ask

_MOST_BYTES: Final = 16 * 1024
_GRANTS: Final = {"password": "password", "refresh_token": "refresh_token"}
"""Where each type of grant carries the credential."""


class TokenHandlers:
    """Exchanges credentials for tokens."""

    def __init__(self, tokens: RegistryTokens) -> None:
        self._tokens = tokens

    async def get(self, ask: Ask) -> IssuedToken:
        """A token for the credential in the Authorization header."""
        credential = read_token(ask.request.headers.get("Authorization", ""))
        return await self._issue(ask, credential, scopes=ask.query.scope)

    async def post(self, ask: Ask) -> IssuedToken:
        """A token for the credential in the form."""
        form = await _read_form(ask)
        grant = form.get("grant_type", "")
        if grant not in _GRANTS:
            raise Invalid("cannot issue a token: grant_type is password or refresh_token")
        return await self._issue(ask, form.get(_GRANTS[grant]), scopes=[form.get("scope", "")])

    async def _issue(self, ask: Ask, credential: str | None, *, scopes: list[str]) -> IssuedToken:
        if credential is None or credential.startswith(PREFIX):
            raise Unauthenticated("cannot issue a token: sign in with any username and a token as password")
        issued = await self._tokens.issue(credential, scopes=parse_scopes(scopes), address=ask.peer)
        return render_token(issued)


async def _read_form(ask: Ask) -> dict[str, str]:
    data = bytearray()
    async for piece in read_pieces(ask.request):
        data += piece
        if len(data) > _MOST_BYTES:
            raise TooLarge(f"cannot read the form: it is larger than {_MOST_BYTES} bytes")
    try:
        found = parse_qs(data.decode(), errors="strict", max_num_fields=20)
    except ValueError as error:
        raise BadSyntax("cannot read the form: it is not form encoded UTF-8 with at most 20 fields") from error
    return {name: " ".join(values) for name, values in found.items()}
