"""Picks lines of text by what they hold; time grows with the length of a line only, whatever is looked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from kit.faults import Invalid

MOST_CHARACTERS: Final = 1000
"""The longest text or expression that is looked for."""

_MOST_INSTRUCTIONS: Final = 1000
_MOST_MEMORY_BYTES: Final = 2 * 1024 * 1024

TextFilter = Callable[[str], bool]


def make_text_filter(*, contains: str, expression: str, ignore_case: bool) -> TextFilter | None:
    """A function that says whether a line holds the text and matches the RE2 expression, as far as either is given.

    None when neither is; raises Invalid for an expression that is none, or that is too large.
    """
    filters = [
        *([_make_search(contains, ignore_case=ignore_case)] if contains else []),
        *([_make_match(expression, ignore_case=ignore_case)] if expression else []),
    ]
    if len(filters) < 2:
        return filters[0] if filters else None
    first, second = filters
    return lambda line: first(line) and second(line)


def _make_search(wanted: str, *, ignore_case: bool) -> TextFilter:
    if len(wanted) > MOST_CHARACTERS:
        raise Invalid(f"cannot search: the text has more than {MOST_CHARACTERS} characters")
    if not ignore_case:
        return lambda line: wanted in line
    folded = wanted.casefold()
    return lambda line: folded in line.casefold()


def _make_match(expression: str, *, ignore_case: bool) -> TextFilter:
    if len(expression) > MOST_CHARACTERS:
        raise Invalid(f"cannot search: the expression has more than {MOST_CHARACTERS} characters")
    # It is 600 kB that most processes never need.
    import re2

    options = re2.Options()
    options.case_sensitive = not ignore_case
    options.never_capture = True
    options.log_errors = False
    options.max_mem = _MOST_MEMORY_BYTES
    try:
        compiled = re2.compile(expression.encode(errors="replace"), options)
    except re2.error as error:
        said = error.args[0] if error.args else ""
        why = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
        raise Invalid(f"cannot search: this is not an expression that RE2 knows: {why}") from error
    if compiled.programsize > _MOST_INSTRUCTIONS:
        raise Invalid("cannot search: the expression is too large; its repetitions count")
    search = compiled.search
    return lambda line: search(line.encode(errors="replace")) is not None
