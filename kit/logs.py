"""Log lines of a program: one line an event, a constant template with fields, to standard error."""

from __future__ import annotations

import json
import logging
import sys
from typing import Final

_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class FieldFormatter(logging.Formatter):
    """`<time> <LEVEL> <logger> <message> name=value …`; a value with spaces or quotes is written as JSON."""

    default_msec_format = "%s.%03d"

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the library's name
        """The line ahead of a traceback."""
        line = super().formatMessage(record)
        fields = [f"{name}={_render(value)}" for name, value in vars(record).items() if name not in _STANDARD]
        return " ".join([line, *fields])


def set_up_logs(level: str) -> None:
    """Send every record of at least this level to standard error; the libraries' own chatter starts at warning."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(FieldFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for library in ("aiohttp", "alembic", "asyncio", "docker", "sqlalchemy", "urllib3"):
        logging.getLogger(library).setLevel(max(logging.WARNING, logging.getLogger().level))


def _render(value: object) -> str:
    text = str(value)
    plain = text.isprintable() and not any(character in text for character in ' "=')
    return text if plain and text else json.dumps(text, ensure_ascii=False)
