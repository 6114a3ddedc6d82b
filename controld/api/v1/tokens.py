"""The caller's own API tokens."""

from __future__ import annotations

from controld.api.v1.shapes import (
    IssuedTokenShape,
    RevokedShape,
    TokenAsked,
    TokenShape,
    render_issued_token,
    render_token,
)
from controld.core.faults import ProjectNotFound, TokenNotFound
from controld.core.tokens import Tokens
from kit.faults import Forbidden, Invalid
from kit.http.surface import Ask, Route


def routes(tokens: Tokens) -> tuple[Route, ...]:
    """The rows of this file."""

    async def list_tokens(ask: Ask) -> list[TokenShape]:
        return [render_token(token) for token in await tokens.list(ask.caller)]

    async def create_token(ask: Ask) -> IssuedTokenShape:
        body: TokenAsked = ask.body
        issued = await tokens.create(
            ask.caller,
            name=body.name,
            expires_at=body.expires_at,
            project_id=None if body.project_id is None else str(body.project_id),
            role_ceiling=body.role,
        )
        return render_issued_token(issued)

    async def delete_token(ask: Ask) -> RevokedShape:
        await tokens.delete(ask.caller, ask.path["token_id"])
        return RevokedShape()

    return (
        Route(
            method="GET",
            path="/v1/api-tokens",
            access="person",
            handler=list_tokens,
            summary="The caller's own API tokens, newest first",
            answer=list[TokenShape],
            faults=(Forbidden,),
        ),
        Route(
            method="POST",
            path="/v1/api-tokens",
            access="person",
            handler=create_token,
            summary="Create an API token; its secret is told this once",
            body=TokenAsked,
            answer=IssuedTokenShape,
            status=201,
            faults=(Invalid, Forbidden, ProjectNotFound),
        ),
        Route(
            method="DELETE",
            path="/v1/api-tokens/{token_id}",
            access="person",
            handler=delete_token,
            summary="Revoke one of the caller's own API tokens; a super-admin may revoke anybody's",
            answer=RevokedShape,
            faults=(Forbidden, TokenNotFound),
        ),
    )
