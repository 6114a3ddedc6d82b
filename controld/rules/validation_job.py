"""What a job may be: every rule on its parts; each check raises Invalid with the reason."""

from __future__ import annotations

import datetime as dt
from typing import Final

from controld.model.job import JobDraft
from controld.model.service import UploadSource
from controld.rules.cron import BadSchedule, find_next, parse_schedule
from controld.rules.validation import LARGEST_U32, check_env, check_limits, check_range, check_title
from controld.rules.validation_service import check_source
from kit.faults import Invalid

_COMMAND_LIMIT: Final = 128 * 1024
_LONGEST_TIMEOUT: Final = 30 * 86_400
_MOST_RUNS: Final = 10_000
_MOST_DAYS: Final = 3650


def check_job(draft: JobDraft, *, allow_private_registries: bool, allow_private_git_hosts: bool) -> None:
    """The whole job can be stored and run, but for its schedule."""
    check_title(draft.name, what="name")
    if isinstance(draft.source, UploadSource):
        raise Invalid(
            "cannot save job: an upload comes with a deployment, and a job has none; give it an image or a repository"
        )
    check_source(
        draft.source,
        allow_private_registries=allow_private_registries,
        allow_private_git_hosts=allow_private_git_hosts,
    )
    if draft.command is not None:
        _check_command(draft.command)
    check_env(draft.env)
    check_range(draft.max_retries, what="max_retries", least=0, most=LARGEST_U32)
    if draft.timeout_seconds is not None:
        check_range(draft.timeout_seconds, what="timeout_seconds", least=1, most=_LONGEST_TIMEOUT)
    check_limits(draft.resource_limits)
    if draft.keep_runs is not None:
        check_range(draft.keep_runs, what="keep_runs", least=1, most=_MOST_RUNS)
    if draft.keep_days is not None:
        check_range(draft.keep_days, what="keep_days", least=1, most=_MOST_DAYS)


def find_first_run(draft: JobDraft, zone: dt.tzinfo, *, now: dt.datetime) -> dt.datetime | None:
    """When the job is due first, None without a schedule; raises Invalid for one that is none, or that never comes."""
    if draft.schedule is None:
        return None
    try:
        schedule = parse_schedule(draft.schedule)
    except BadSchedule as error:
        raise Invalid(f"invalid cron schedule: {error}") from error
    found = find_next(schedule, now, zone=zone)
    if found is None:
        raise Invalid("invalid cron schedule: there is no moment to come that it names")
    return found


def _check_command(command: tuple[str, ...]) -> None:
    if not command[0]:
        raise Invalid("cannot save job: the first word of command, the program, is empty")
    if any("\0" in word for word in command):
        raise Invalid("cannot save job: command holds a NUL")
    if sum(len(word.encode()) for word in command) > _COMMAND_LIMIT:
        raise Invalid(f"cannot save job: command is longer than {_COMMAND_LIMIT} bytes")
