"""What repositories are cloned with: deploy keys and sign-ins of projects."""

from __future__ import annotations

from controld.api.v1.shapes import DeletedShape
from controld.api.v1.shapes_git import (
    CredentialAsked,
    CredentialShape,
    GitCredentialAsked,
    GitCredentialQuery,
    GitCredentialShape,
    read_git_credential,
    render_credential,
    render_git_credential,
)
from controld.core.faults import GitCredentialNotFound, NameTaken, ProjectNotFound
from controld.core.git_credentials import GitCredentials
from controld.model.git_credential import GitCredentialKind
from kit.faults import Forbidden, Invalid
from kit.http.surface import Ask, Route

_PATH = "/v1/projects/{project_id}/credentials/git"


def routes(credentials: GitCredentials) -> tuple[Route, ...]:
    """The rows of this file."""

    async def list_credentials(ask: Ask) -> list[GitCredentialShape]:
        return [render_git_credential(each) for each in await credentials.list(ask.caller, ask.path["project_id"])]

    async def create_credential(ask: Ask) -> GitCredentialShape:
        draft = read_git_credential(ask.body)
        return render_git_credential(await credentials.create(ask.caller, ask.path["project_id"], draft))

    async def delete_credential(ask: Ask) -> DeletedShape:
        query: GitCredentialQuery = ask.query
        await credentials.delete(ask.caller, ask.path["project_id"], name=query.name)
        return DeletedShape()

    async def list_all(ask: Ask) -> list[CredentialShape]:
        return [render_credential(each) for each in await credentials.list_all(ask.caller)]

    async def name_key(ask: Ask) -> CredentialShape:
        body: CredentialAsked = ask.body
        if body.kind != GitCredentialKind.SSH.value:
            raise Invalid("cannot name credential: its kind has to be SshDeployKey")
        return render_credential(await credentials.rename(ask.caller, body.secret_ref, name=body.name))

    return (
        Route(
            method="GET",
            path=_PATH,
            access="viewer",
            handler=list_credentials,
            summary="The project's git credentials by name, each by its public half",
            answer=list[GitCredentialShape],
            faults=(ProjectNotFound,),
        ),
        Route(
            method="POST",
            path=_PATH,
            access="operator",
            handler=create_credential,
            summary="Keep a deploy key or a sign-in, or make a key whose public half the repository's host wants",
            body=GitCredentialAsked,
            answer=GitCredentialShape,
            status=201,
            faults=(Invalid, Forbidden, ProjectNotFound, NameTaken),
        ),
        Route(
            method="DELETE",
            path=_PATH,
            access="operator",
            handler=delete_credential,
            summary="Forget a git credential",
            query=GitCredentialQuery,
            answer=DeletedShape,
            faults=(Invalid, Forbidden, ProjectNotFound, GitCredentialNotFound),
        ),
        Route(
            method="GET",
            path="/v1/credentials",
            access="super-admin",
            handler=list_all,
            summary="The git credentials of every project, without what is secret",
            answer=list[CredentialShape],
            faults=(Forbidden,),
        ),
        Route(
            method="POST",
            path="/v1/credentials/git",
            access="super-admin",
            handler=name_key,
            summary="Name the deploy key that is kept under a secret_ref",
            body=CredentialAsked,
            answer=CredentialShape,
            faults=(Invalid, Forbidden, NameTaken),
        ),
    )
