"""What can fail in the control daemon, in its own words."""

from __future__ import annotations

from kit.faults import (
    Conflict,
    Fault,
    Forbidden,
    Gone,
    Invalid,
    Kind,
    Limited,
    NotFound,
    TimedOut,
    TooLarge,
    Unauthenticated,
    Unavailable,
)


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


class DataDirBusy(Conflict):
    """Another controld works in the data directory."""

    code = "data_dir_busy"


class AlreadyExists(Conflict):
    """Something with this name, or this identity, is there already."""

    code = "already_exists"


class NameTaken(AlreadyExists):
    """The name belongs to another of its kind."""

    code = "name_taken"


class HostnameTaken(AlreadyExists):
    """The hostname belongs to another service, or to the platform itself."""

    code = "hostname_taken"


class PortTaken(AlreadyExists):
    """The public port belongs to an endpoint of another service."""

    code = "port_taken"


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


class WrongPassword(Forbidden):
    """A known caller's present password, which the change needs, is another."""

    code = "wrong_password"


class TooManyLogins(Limited):
    """Sign-in was tried too often from one address or for one account."""

    code = "too_many_logins"


class TooManyRequests(Limited):
    """One address asks too often."""

    code = "too_many_requests"


class PasswordsBusy(Unavailable):
    """More passwords wait to be checked than this host can check soon."""

    code = "passwords_busy"


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
    """No such API token, for this caller."""

    code = "token_not_found"


class SessionNotFound(NotFound):
    """No such session of this caller."""

    code = "session_not_found"


class RegistryNotFound(NotFound):
    """No such image registry in the project."""

    code = "registry_not_found"


class RegistryRefused(Invalid):
    """An external registry cannot be used so: it refuses the sign-in, lacks the image, or stands inside a network."""

    code = "registry_refused"


class SecretNotFound(NotFound):
    """No such secret is kept."""

    code = "secret_not_found"


class SecretShut(Unavailable):
    """The secret is kept and cannot be opened here."""

    code = "secret_shut"


class SecretsUnusable(Fault):
    """The age key is missing or unreadable, or no key of this platform's."""

    kind = Kind.CONFLICT
    code = "secrets_unusable"


class GitCredentialNotFound(NotFound):
    """No such git credential in the project."""

    code = "git_credential_not_found"


class JobNotFound(NotFound):
    """No such job, or no such run of it, for this caller."""

    code = "job_not_found"


class JobActive(Conflict):
    """A run of the job has not ended."""

    code = "job_active"


class RunFinished(Conflict):
    """The run has ended, so that there is nothing left to cancel."""

    code = "run_finished"


class NodeNotFound(NotFound):
    """No such node, or none any more."""

    code = "node_not_found"


class NodeInUse(Conflict):
    """Replicas are placed on the node."""

    code = "node_in_use"


class NodeRefused(Forbidden):
    """The certificate is of our authority and does not speak for a node any more."""

    code = "node_refused"


class JoinTokenRefused(Forbidden):
    """The join token is unknown, was used before, or has expired; which of them is not told."""

    code = "join_token_refused"


class NodeOffline(Unavailable):
    """The node's agent cannot be reached, or does not answer in time."""

    code = "node_offline"


class NodeFault(Fault):
    """The node's agent answered with a fault; `remote_code` is its own word for it, the kind is that of its status."""

    code = "node_fault"

    def __init__(self, message: str, *, remote_code: str, kind: Kind) -> None:
        super().__init__(message, details={"remote_code": remote_code})
        self.remote_code = remote_code
        self.kind = kind


class AuthorityUnusable(Fault):
    """The certificate authority's files are missing, unreadable, or not those that this database belongs to."""

    kind = Kind.CONFLICT
    code = "authority_unusable"


class DeploymentNotFound(NotFound):
    """No such deployment, for this caller."""

    code = "deployment_not_found"


class DeploymentFinished(Conflict):
    """The deployment has ended, so that there is nothing left to cancel."""

    code = "deployment_finished"


class ArtifactNotFound(NotFound):
    """The service has no such artifact, or it is no longer kept."""

    code = "artifact_not_found"


class SourceChanged(Conflict):
    """What is to be built is not what the stored source names any more."""

    code = "source_changed"


class NothingToRun(Conflict):
    """The service has no kept artifact that could be run."""

    code = "nothing_to_run"


class TooManyStreams(Limited):
    """As many streams of this kind are open as are allowed at one time."""

    code = "too_many_streams"


class UploadNotFound(NotFound):
    """The upload is not one of the service's."""

    code = "upload_not_found"


class UploadExpired(Gone):
    """The upload's time is over."""

    code = "upload_expired"


class UploadTooLarge(TooLarge):
    """The upload announces more bytes than are accepted."""

    code = "upload_too_large"


class UploadStalled(TimedOut):
    """The client stopped sending its upload."""

    code = "upload_stalled"


class TooManyUploads(Limited):
    """As many uploads are arriving as are taken at one time."""

    code = "too_many_uploads"


class StorageFull(Unavailable):
    """The control daemon's disk has no room."""

    code = "storage_full"


class StorageFailed(Unavailable):
    """The control daemon's disk does not take or give a file."""

    code = "storage_failed"


class NoPromotedDeployment(Conflict):
    """The service has no deployment whose replicas take traffic."""

    code = "no_promoted_deployment"


class ReplicaNotRunning(Conflict):
    """The replica does not run, as far as its node has told."""

    code = "replica_not_running"


class TicketRefused(Unauthenticated):
    """The console ticket is missing, unknown, used, too old, or for another service; which of them is not told."""

    code = "ticket_refused"


class OriginRefused(Forbidden):
    """The web page that asks is not one that may open consoles here."""

    code = "origin_refused"


class ConsoleNotFound(NotFound):
    """No such console, for this caller, or none any more."""

    code = "console_not_found"


class TranscriptNotFound(NotFound):
    """No transcript of that console was kept."""

    code = "transcript_not_found"


class TooManyConsoles(Limited):
    """As many consoles are open as may be at one time."""

    code = "too_many_consoles"
