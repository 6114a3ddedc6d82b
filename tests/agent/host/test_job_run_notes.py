"""Notes of jobs' runs outlive the agent, and one that is garbled never lets a run be started again."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from agent.core.faults import NoteNotWritten
from agent.host.job_run_notes import DiskNotes
from agent.model.job_run import Note
from wire.link import EndedBy, JobRunReport, JobRunState

REPORT = JobRunReport(
    key="r.1",
    state=JobRunState.ENDED,
    finished_at=dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
    exit_code=3,
    ended_by=EndedBy.TIMEOUT,
)


async def test_what_was_written_is_read_by_the_next_agent(tmp_path: Path) -> None:
    notes = DiskNotes(tmp_path / "runs")
    assert await notes.read_all() == {}
    await notes.write("r.1", Note(begun=True))
    await notes.write("r.1", Note(begun=True, ending=EndedBy.TIMEOUT, report=REPORT))
    await notes.write("r.2", Note(begun=True))
    await notes.remove("r.2")
    await notes.remove("r.2")
    assert await DiskNotes(tmp_path / "runs").read_all() == {
        "r.1": Note(begun=True, ending=EndedBy.TIMEOUT, report=REPORT)
    }
    assert (tmp_path / "runs" / "r.1.json").stat().st_mode & 0o777 == 0o600


async def test_a_garbled_note_counts_as_begun(tmp_path: Path) -> None:
    (tmp_path / "r.1.json").write_bytes(b'{"begun": tr')
    assert await DiskNotes(tmp_path).read_all() == {"r.1": Note(begun=True)}


async def test_a_disk_that_takes_no_note_is_told_as_a_fault(tmp_path: Path) -> None:
    (tmp_path / "runs").write_bytes(b"a file in the folder's place")
    with pytest.raises(NoteNotWritten, match=r"r\.1"):
        await DiskNotes(tmp_path / "runs").write("r.1", Note(begun=True))
