"""The columns of ``modelyard ls``: what each prints for people, and its value for spreadsheets and scripts."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, NamedTuple

from modelyard.cli.terminal.formatting import format_age, format_content_size, format_model_path, shorten_path
from modelyard.cli.terminal.model_details import mark_base_model, mark_trigger_words
from modelyard.cli.terminal.table import Column, format_table

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from uuid import UUID

    from modelyard.cli.terminal.colors import Line
    from modelyard.wire.models import Model
    from modelyard.wire.versions import ModelVersion, PendingVersion


class ModelColumn(NamedTuple):
    """A column of models: ``rank`` is as in ``Column``, ``get_value`` is used where no person reads."""

    rank: int
    get_text: Callable[[Model], str]
    get_value: Callable[[Model], object]


def _of_text(rank: int, get: Callable[[Model], str]) -> ModelColumn:
    """Return a column that is the same for people and programs."""
    return ModelColumn(rank, get, get)


def describe_state(model: Model) -> str:
    """Return whether a model is disabled, or else its verification; and the state of a newer version, if any."""
    state = "disabled" if model.model_status == "disabled" else describe_verification(model)
    newer = find_newer_version(model)
    return state if newer is None else f"{state}, v{newer.version} {newer.verification}"


def describe_verification(content: Model | ModelVersion) -> str:
    """Return ``verified``, ``pending``, ``failed``, or ``damaged`` if it was verified once."""
    return "damaged" if content.is_damaged else content.verification


def find_newer_version(model: Model) -> PendingVersion | None:
    """Return the version that is pending or failed beside the one that the record shows; None if there is none."""
    pending = model.pending_version
    return None if pending is None or pending.version == model.version else pending


# By the name that --columns takes; the heading is the same in capitals.
COLUMNS: dict[str, ModelColumn] = {
    "path": ModelColumn(0, lambda model: format_model_path(model.model_path), lambda model: model.model_path),
    "name": _of_text(6, lambda model: model.display_name),
    "type": _of_text(3, lambda model: model.model_type),
    "base": ModelColumn(4, mark_base_model, lambda model: model.base_model or ""),
    "base-source": _of_text(7, lambda model: model.base_source or ""),
    "trigger": ModelColumn(6, mark_trigger_words, lambda model: ", ".join(word.text for word in model.trigger_words)),
    "version": ModelColumn(4, lambda model: str(model.version), lambda model: model.version),
    "size": ModelColumn(5, format_content_size, lambda model: model.content_size),
    "files": ModelColumn(
        6, lambda model: str(model.file_count or ""), lambda model: 1 if model.file_count is None else model.file_count
    ),
    "state": _of_text(1, describe_state),
    "machines": ModelColumn(
        4,
        lambda model: f"{model.agents_ready} of {model.agents_desired}" if model.agents_desired else "",
        lambda model: f"{model.agents_ready}/{model.agents_desired}",
    ),
    "tags": _of_text(7, lambda model: ", ".join(model.tags)),
    "author": _of_text(7, lambda model: model.author or ""),
    "license": _of_text(7, lambda model: model.license or ""),
    "by": _of_text(7, lambda model: model.created_by.display_name),
    "hash": _of_text(8, lambda model: model.file_hash),
    "created": ModelColumn(
        7, lambda model: format_age(model.created_at), lambda model: model.created_at.isoformat(timespec="seconds")
    ),
    "changed": ModelColumn(
        7, lambda model: format_age(model.updated_at), lambda model: model.updated_at.isoformat(timespec="seconds")
    ),
    "used": ModelColumn(
        7,
        lambda model: format_age(model.last_used_at) if model.last_used_at else "",
        lambda model: model.last_used_at.isoformat(timespec="seconds") if model.last_used_at else "",
    ),
    "deleted": ModelColumn(
        7,
        lambda model: format_age(model.deleted_at) if model.deleted_at else "",
        lambda model: model.deleted_at.isoformat(timespec="seconds") if model.deleted_at else "",
    ),
    "id": _of_text(2, lambda model: str(model.id)),
}
# See "CSV Injection" of OWASP.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
DEFAULT_COLUMNS = ("path", "name", "base", "size", "state", "changed", "id")


def parse_columns(text: str) -> list[str]:
    """Return the names in a comma-separated list of columns.

    Raises:
        ValueError: it has a name that is none, or no name.
    """
    names = [name for part in text.casefold().split(",") if (name := part.strip())]
    unknown = [name for name in names if name not in COLUMNS]
    if unknown or not names:
        what = f"There is no column '{unknown[0]}'." if unknown else "No column is named."
        raise ValueError(f"{what} The columns are: {', '.join(COLUMNS)}.")
    return names


def format_models(
    models: Sequence[Model], names: Sequence[str], width: int | None, short_ids: Mapping[UUID, str]
) -> list[Line]:
    """Format models as a table of these columns; with a ``width``, fitted to it, with short ids and paths."""
    headings = [Column(name.upper(), COLUMNS[name].rank) for name in names]
    if width is None:
        return format_table(headings, [[COLUMNS[name].get_text(model) for name in names] for model in models])
    rows = [[_get_short_text(model, name, short_ids) for name in names] for model in models]
    return format_table(headings, rows, width)


def _get_short_text(model: Model, name: str, short_ids: Mapping[UUID, str]) -> str:
    """Return a cell of a narrow table: a path without ``models/``, a unique start of the id, or else the whole text."""
    text = COLUMNS[name].get_text(model)
    if name == "id":
        return short_ids[model.id]
    return shorten_path(text) if name == "path" else text


def format_csv(models: Sequence[Model], names: Sequence[str]) -> list[str]:
    """Format the values of models as lines of CSV, after a line of the columns' names.

    An apostrophe precedes texts that a spreadsheet would run as a formula.
    """
    lines = []
    rows = [[_prevent_formula(COLUMNS[name].get_value(model)) for name in names] for model in models]
    for row in (names, *rows):
        text = io.StringIO()
        csv.writer(text, lineterminator="").writerow(row)
        lines.append(text.getvalue())
    return lines


def _prevent_formula(value: object) -> object:
    """Return a value that no spreadsheet runs as a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA_STARTS) else value
