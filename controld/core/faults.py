"""What can fail in the control daemon, in its own words."""

from __future__ import annotations

from kit.faults import Conflict, Fault, Invalid, Kind, Limited, NotFound, Unauthenticated, Unavailable


class StoreBusy(Unavailable):
    """The database is held by another writer, or two transactions collided; the same ask may work at once."""

    code = "store_busy"


class StoreUnavailable(Unavailable):
    """The database does not answer."""

    code = "store_unavailable"


class DatabaseNewer(Fault):
    """The database was written by a newer release than this one."""

    kind = Kind.CONFLICT
    code = "database_newer"


class AlreadyExists(Conflict):
    """Something with this name, or this identity, is there already."""

    code = "already_exists"


class NameTaken(AlreadyExists):
    """The name belongs to another of its kind."""

    code = "name_taken"


class HostnameTaken(AlreadyExists):
    """The hostname belongs to another service, or to the platform itself."""

    code = "hostname_taken"


class AlreadyInitialised(Conflict):
    """The first admin of this database exists or has existed."""

    code = "already_initialised"


class LastAdmin(Conflict):
    """The change would leave nobody who may administer."""

    code = "last_admin"


class InUse(Conflict):
    """Others depend on the thing."""

    code = "in_use"


class NotAPerson(Conflict):
    """The ask is for signed-in people; the setup secret stands for nobody."""

    code = "not_a_person"


class CredentialPresent(Invalid):
    """A sign-in was sent together with a credential."""

    code = "credential_present"


class WrongCredentials(Unauthenticated):
    """The username or the password is wrong; which one is not told."""

    code = "wrong_credentials"


class TooManyLogins(Limited):
    """Sign-in was tried too often from one address or for one account."""

    code = "too_many_logins"


class TooManyRequests(Limited):
    """One address asks too often."""

    code = "too_many_requests"


class ServiceNotFound(NotFound):
    """No such service, for this caller."""

    code = "service_not_found"


class ProjectNotFound(NotFound):
    """No such project, for this caller."""

    code = "project_not_found"


class UserNotFound(NotFound):
    """No such user."""

    code = "user_not_found"


class TokenNotFound(NotFound):
    """No such API token of this caller."""

    code = "token_not_found"


class RegistryNotFound(NotFound):
    """No such image registry in the project."""

    code = "registry_not_found"
