"""Lines of a log as server-sent events: made once, the same bytes for every viewer."""

from __future__ import annotations

from agent.model.log_columns import EntryColumns
from agent.rules.log_cursor import Run, render_ids


def render_events(run: Run, *, prefix: str) -> bytes:
    """An event for each entry, whose id is its cursor behind the prefix.

    A carriage return or a line feed inside a line begins another `data:` line, as the format has no other place for it.
    """
    if isinstance(run.entries, EntryColumns):
        return _render_columns(run.entries, prefix=prefix, rest=run.rest)
    rest = run.rest
    events = "".join(
        [
            f"id: {prefix}{entry.container}_{entry.usec}-{entry.nth}{rest}\ndata: {entry.text}\n\n"
            for entry in run.entries
        ]
    )
    if "\r" in events or events.count("\n") != 3 * len(run.entries):
        texts = [entry.text.replace("\r\n", "\n").replace("\r", "\n") for entry in run.entries]
        events = "".join(
            "id: {}{}\ndata: {}\n\n".format(prefix, id_, text.replace("\n", "\ndata: "))
            for id_, text in zip(render_ids(run), texts, strict=True)
        )
    return events.encode()


def _render_columns(entries: EntryColumns, *, prefix: str, rest: str) -> bytes:
    """The same of lines that hold no line break."""
    lines, nths = entries.lines, entries.nths
    beginning = f"id: {prefix}{entries.container}_{lines.stamps.beginning}"
    # Each event is four pieces, of which the first ends the event ahead.
    pieces = [f"\n{beginning}", "", f"-0{rest}\ndata: ", ""] * len(lines)
    pieces[0] = beginning
    pieces[1::4] = lines.stamps.endings
    if nths is not None:
        pieces[2::4] = [f"-{nth}{rest}\ndata: " for nth in nths]
    pieces[3::4] = lines.texts
    pieces.append("\n")
    return "".join(pieces).encode()


def render_dropped(count: int, *, id: str) -> bytes:
    """The event that says that so many lines are missing behind the one with this id, if there is one."""
    head = f"id: {id}\n" if id else ""
    return f"{head}event: dropped\ndata: {count} lines dropped\n\n".encode()


def render_place(id: str) -> bytes:
    """What moves a client on to this id without showing it anything."""
    return f"id: {id}\n\n".encode()
