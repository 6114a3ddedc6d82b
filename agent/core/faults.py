"""What can fail on a node, in the node's own words."""

from __future__ import annotations

from kit.faults import Conflict, Fault, Forbidden, Invalid, Kind, Limited, NotFound, TooLarge, Unavailable


class EngineUnavailable(Unavailable):
    """The container engine does not answer."""

    code = "engine_unavailable"


class EngineRefused(Fault):
    """The container engine answered with an error that has no word of its own here."""

    kind = Kind.INTERNAL
    code = "engine_refused"

    def __init__(self, message: str, *, engine_status: int, reason: str) -> None:
        super().__init__(message, details={"engine_status": engine_status})
        self.engine_status = engine_status
        self.reason = reason


class ContainerGone(NotFound):
    """The engine has no such container any more."""

    code = "container_gone"


class ContainerNameTaken(Conflict):
    """A container that is not ours has the name."""

    code = "container_name_taken"


class NetworkNameTaken(Conflict):
    """A network that is not ours has the name."""

    code = "network_name_taken"


class NotOurs(Conflict):
    """The container does not carry this node's label, so nothing is done to it."""

    code = "not_ours"


class ImageNotFound(NotFound):
    """The registry, or the engine, has no such image."""

    code = "image_not_found"


class RegistryDenied(Invalid):
    """The registry refuses the credential, or wants one."""

    code = "registry_denied"


class RegistryInside(Invalid):
    """The registry stands inside a network, where images are not pulled from."""

    code = "registry_inside"


class PullFailed(Unavailable):
    """The image could not be pulled."""

    code = "pull_failed"


class PushFailed(Unavailable):
    """The image could not be pushed."""

    code = "push_failed"


class BuildFailed(Invalid):
    """A step of the build failed."""

    code = "build_failed"


class StartFailed(Invalid):
    """The engine could not start the container: the command is missing, or the limits cannot be had."""

    code = "start_failed"


class NetworkGone(StartFailed):
    """The network that the container was made in was removed; another of that name does not help it."""

    code = "network_gone"


class ContextMissing(Conflict):
    """The build's context is not staged on this node and has to be sent."""

    code = "context_missing"


class RepositoryDenied(Invalid):
    """The repository's host refuses the credential, or wants one."""

    code = "repository_denied"


class RepositoryNotFound(NotFound):
    """The host has no such repository, or does not tell this credential of it."""

    code = "git_repository_not_found"


class GitHostRefused(Invalid):
    """The repository's host is one that nothing is cloned from: it cannot be found, or leads inside."""

    code = "git_host_refused"


class HostKeyUnknown(Invalid):
    """Nobody has said which key the repository's host has."""

    code = "host_key_unknown"


class HostKeyChanged(Invalid):
    """The repository's host shows another key than the one that is known of it."""

    code = "host_key_changed"


class RefUnknown(Invalid):
    """The repository has no such branch, tag or commit."""

    code = "git_ref_unknown"


class RepositoryTooLarge(TooLarge):
    """The clone passes the limits on its size."""

    code = "repository_too_large"


class CloneFailed(Unavailable):
    """The repository could not be cloned."""

    code = "clone_failed"


class GitMissing(Unavailable):
    """This node has no git, or none of the programs that hold it."""

    code = "git_missing"


class IngressUnavailable(Unavailable):
    """The proxy does not answer on its socket."""

    code = "ingress_unavailable"


class NotEnrolled(Conflict):
    """This machine is not a node yet."""

    code = "not_enrolled"


class CertificateExpired(Conflict):
    """This node's certificate ran out, so that controld cannot be reached until the node is enrolled again."""

    code = "certificate_expired"


class ControlUnreachable(Unavailable):
    """controld does not answer."""

    code = "control_unreachable"


class ControlUntrusted(Forbidden):
    """What answers is not the controld that this machine was told to trust."""

    code = "control_untrusted"


class ControlRefused(Forbidden):
    """controld knows who asks and refuses; `details["code"]` is its own word for it."""

    code = "control_refused"


class IdentityUnreadable(Fault):
    """The file that says who this node is cannot be used."""

    code = "identity_unreadable"


class SpecUnreadable(Fault):
    """The spec on disk cannot be read."""

    kind = Kind.INTERNAL
    code = "spec_unreadable"


class SpecNotWritten(Unavailable):
    """The spec cannot be written down, and so is not acted on."""

    code = "spec_not_written"


class HoldingsNotWritten(Unavailable):
    """What is known of the node's images cannot be written down, so that none is brought or removed."""

    code = "holdings_not_written"


class NoteNotWritten(Unavailable):
    """What is to be done for a job's run cannot be written down, so that it is not done."""

    code = "note_not_written"


class WrongNode(Invalid):
    """The spec is for another node."""

    code = "wrong_node"


class BadCursor(Invalid):
    """The place in a log that was named is none of this node's."""

    code = "bad_cursor"


class HostUnreadable(Unavailable):
    """The kernel's numbers of this machine cannot be read."""

    code = "host_unreadable"


class ContainerNotRunning(Conflict):
    """The replica has no container that runs on this node."""

    code = "container_not_running"


class ShellMissing(Invalid):
    """The container has no shell to open a console with."""

    code = "shell_missing"


class ConsoleExists(Conflict):
    """There is a console with this id already."""

    code = "console_exists"


class ConsoleGone(NotFound):
    """No such console, or none any more."""

    code = "console_gone"


class ConsolesFull(Limited):
    """As many consoles run on this node as may at one time."""

    code = "consoles_full"


class ProcessesLeft(Unavailable):
    """Processes of a console do not end, whatever they are sent."""

    code = "processes_left"


class ArchiveNotWritten(Unavailable):
    """A log could not be written to the archive."""

    code = "archive_not_written"


class ArchiveFull(Unavailable):
    """The disk has no room for a log in the archive."""

    code = "archive_full"
