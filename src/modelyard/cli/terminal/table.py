"""Tables for people: whole for pipes, or fitted to a terminal's width and coloured by state."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from itertools import chain
from pathlib import PurePosixPath
from typing import NamedTuple

from modelyard.cli.terminal.colors import Line, Span, find_state_color
from modelyard.cli.terminal.formatting import count_columns, escape_unprintable

_GAP = "  "
# Before a column is left out, cells are cut to this, and paths to three tenths of a wider row.
_MIN_WIDTH = 12
_PATHS = frozenset({"PATH", "MODEL", "FILE", "ASKED"})
_NEVER_CUT = frozenset({"ID", "TIME", "ACTION"})
# Cut before the others: many rows have the same.
_CUT_FIRST = frozenset({"BASE"})
# The extension of most models, which tells few apart.
_COMMON_EXTENSION = ".safetensors"
# Sentences: as the last column they are below the rows, in full, if they do not fit beside the others.
_SENTENCES = frozenset({"REASON", "NOTE", "FACTS"})
_INDENT = " " * 4
_STATES = frozenset({"STATE", "STATUS"})


class Column(NamedTuple):
    """A heading, and when the column is left out on a narrow terminal: the highest ``rank`` first."""

    heading: str
    rank: int


def format_table(
    headings: Sequence[str | Column], rows: Sequence[Sequence[str]], width: int | None = None
) -> list[Line]:
    """Format rows as aligned columns below headings, with unprintable characters escaped.

    With a ``width``, no line is wider: reasons and notes in the last column are below their rows, long cells are cut
    (paths in their middle, ids never), then columns are left out, by default from the right. A long reason is said
    once, and later rows with it name the first one. Without a width, nothing is cut and each row is one line, for
    ``grep``.
    """
    columns = [each if isinstance(each, Column) else Column(each, rank) for rank, each in enumerate(headings)]
    clean = [[escape_unprintable(cell) for cell in row] for row in rows]
    widths = [max(map(count_columns, cells)) for cells in zip([each.heading for each in columns], *clean, strict=True)]
    if width is None or _add_up(widths) <= width:
        return _build_lines(columns, clean, dict(enumerate(widths)))
    if columns[-1].heading not in _SENTENCES:
        return _build_lines(columns, clean, fit_widths(columns, widths, width))
    rows_above = [row[:-1] for row in clean]
    heading, *lines = _build_lines(columns[:-1], rows_above, fit_widths(columns[:-1], widths[:-1], width))
    below = _wrap_sentences(clean, width)
    return [heading, *chain.from_iterable([line, *wrapped] for line, wrapped in zip(lines, below, strict=True))]


def _build_lines(columns: Sequence[Column], rows: Sequence[Sequence[str]], fitted: dict[int, int]) -> list[Line]:
    """Return the line of the headings and those of the rows, with the columns that are shown."""
    headings = [each.heading for each in columns]
    return [_build_line([""] * len(columns), headings, fitted), *(_build_line(headings, row, fitted) for row in rows)]


def _wrap_sentences(rows: Sequence[Sequence[str]], width: int) -> list[list[Line]]:
    """Return the lines of each row's last cell; one of several lines is said once, and later rows name the first."""
    first: dict[str, str] = {}
    below = []
    for row in rows:
        lines = _wrap(row[-1], width)
        same_as = first.setdefault(row[-1], row[0])
        is_repeated = len(lines) > 1 and same_as != row[0]
        below.append(_wrap(f"The same as {same_as}.", width) if is_repeated else lines)
    return below


def _wrap(sentence: str, width: int) -> list[Line]:
    """Return a sentence as indented lines of at most ``width`` columns; of half as many letters if some are wide."""
    is_wide = count_columns(sentence) > len(sentence)
    room = max(2, width - len(_INDENT)) // (2 if is_wide else 1)
    return [Line([Span(_INDENT + line)]) for line in textwrap.wrap(sentence, room, break_on_hyphens=False)]


def fit_widths(columns: Sequence[Column], widths: Sequence[int], total: int) -> dict[int, int]:
    """Return the width of each column that is shown, so that a row has at most ``total``; others are left out."""
    least = [_get_least_width(column.heading, width, total) for column, width in zip(columns, widths, strict=True)]
    shown = list(range(len(columns)))
    while len(shown) > 1 and _add_up([least[each] for each in shown]) > total:
        shown.remove(max(shown, key=lambda each: columns[each].rank))
    fitted = {each: widths[each] for each in shown}
    while _add_up(list(fitted.values())) > total:
        widest = max(
            shown,
            key=lambda each: (fitted[each] > least[each], columns[each].heading in _CUT_FIRST, fitted[each]),
        )
        if fitted[widest] <= least[widest] and len(shown) > 1:
            break
        fitted[widest] -= 1
    return fitted


def _get_least_width(heading: str, width: int, total: int) -> int:
    """Return how narrow a column of this width may become in a row of ``total``."""
    if heading in _NEVER_CUT:
        return width
    return min(width, max(_MIN_WIDTH, total * 3 // 10) if heading in _PATHS else _MIN_WIDTH)


def _add_up(widths: Sequence[int]) -> int:
    """Return the width of a row of cells with the gaps between them."""
    return sum(widths) + len(_GAP) * (len(widths) - 1)


def _build_line(headings: Sequence[str], cells: Sequence[str], fitted: dict[int, int]) -> Line:
    """Return the cells that are shown as one line: cut, padded, and coloured below the heading of a state."""
    spans: list[Span] = []
    for place, (index, width) in enumerate(fitted.items()):
        heading = headings[index]
        text = (cut_path if heading in _PATHS else cut_text)(cells[index], width)
        is_last = place == len(fitted) - 1
        spans.append(Span(text, find_state_color(cells[index]) if heading in _STATES else None))
        spans.append(Span("" if is_last else " " * (width - count_columns(text)) + _GAP))
    return Line(spans)


def cut_text(text: str, width: int) -> str:
    """Return a text of at most ``width`` columns, with an ellipsis if its end was cut.

    A question mark at the end stays: it marks a guess.
    """
    if count_columns(text) <= width:
        return text
    end = "…?" if text.endswith("?") and width > len("…?") else "…"
    return f"{_take(text, width - len(end)).rstrip()}{end}"


def cut_path(path: str, width: int) -> str:
    """Return a path of at most ``width`` columns, without its middle if it is longer: its end tells files apart.

    Its extension is left out first if it is ``.safetensors``, and others in less than twice their columns.
    """
    if count_columns(path) <= width:
        return path
    suffix = PurePosixPath(path).suffix
    is_kept = suffix != _COMMON_EXTENSION and count_columns(suffix) * 2 <= width
    shown = path if is_kept else path.removesuffix(suffix)
    if count_columns(shown) < width:
        return f"{shown}…"
    end = _take(shown[::-1], (width - 1) * 3 // 4)[::-1]
    return f"{_take(shown, width - 1 - count_columns(end))}…{end}"


def _take(text: str, width: int) -> str:
    """Return as much of the start of a text as ``width`` columns hold."""
    used = 0
    for index, letter in enumerate(text):
        used += count_columns(letter)
        if used > width:
            return text[:index]
    return text
