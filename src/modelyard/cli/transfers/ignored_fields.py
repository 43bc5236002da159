"""What a push sent for a model that keeps other values, and the commands that set it."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from modelyard.cli.terminal.formatting import shorten_path
from modelyard.comfyui.quoting import quoted
from modelyard.wire.model_folders import CORE_FOLDERS
from modelyard.wire.paths import get_canonical_type

if TYPE_CHECKING:
    from modelyard.cli.terminal.terminal import Terminal
    from modelyard.wire.models import IgnoredField, Model

# The name in a sentence, and the option of ``edit``, of each field that can be changed. Of tags and labels, which are
# lists, ``edit`` takes one option for each.
_EDITED = {
    "model_path": ("path", "--path"),
    "model_type": ("type", "--type"),
    "display_name": ("name", "--name"),
    "description": ("description", "--description"),
    "license": ("licence", "--license"),
    "author": ("author", "--author"),
    "source_url": ("source", "--source-url"),
    "base_model": ("base model", "--base-model"),
    "trigger_words": ("trigger words", "--trigger-words"),
    "tags": ("tags", "--tag"),
    "required_labels": ("labels", "--label"),
}
_LISTS = ("tags", "required_labels")


def describe_ignored(terminal: Terminal, ignored: IgnoredField, model: Model, version: int) -> str:
    """Return what a model keeps, although another value was sent, and what to do; the field may be any other.

    Tags and labels come as one text. Those that were typed may have commas.
    """
    kept, sent = str(ignored.kept), str(ignored.sent)
    if ignored.field == "file_size" and isinstance(ignored.kept, int) and isinstance(ignored.sent, int):
        happened = f"Content with this hash and {ignored.kept:,} bytes is being verified."
        return f"{happened} Your {ignored.sent:,} bytes were not used. If verification fails, push the file again."
    name, _ = _EDITED.get(ignored.field, (ignored.field.removeprefix("model_"), ""))
    keeps = f"keeps its {name} {quoted(kept)}" if kept else f"is not changed and has no {name}"
    subject = f"Version {version}" if ignored.field == "note" else "The model"
    command = _build_command(terminal, ignored.field, sent, model, version)
    change = "" if command is None else f" To change it: {command}"
    return f"{subject} {keeps}, so {quoted(sent)} was not used.{change}"


def _build_command(terminal: Terminal, field: str, sent: str, model: Model, version: int) -> str | None:
    """Return the command that sets a field of a model or its version; None for a field that no command sets."""
    path = shorten_path(model.model_path)
    if field == "note":
        return terminal.format_command("version", "note", path, version, sent)
    if field not in _EDITED or (field == "model_type" and _is_spelling_of_core_type(sent, model)):
        return None
    folder, slash, below = shorten_path(sent).partition("/")
    if field == "model_path" and _is_spelling_of_core_type(folder, model):
        sent = f"{model.model_type}{slash}{below}"
    option, typed = _EDITED[field][1], terminal.read_typed()
    given = typed.list_option_values(option) if typed is not None and field in _LISTS else []
    values = given or (sent.split(", ") if field in _LISTS else [sent])
    words = [*chain.from_iterable((option, value) for value in values), *_get_type_options(field, sent, model)]
    return terminal.format_command("edit", path, *words)


def _is_spelling_of_core_type(folder: str, model: Model) -> bool:
    """Return whether a type is that of the model but for its letter case, which is fixed for the types of ComfyUI."""
    kept = model.model_type
    return folder != kept and folder.casefold() == kept.casefold() and kept in CORE_FOLDERS


def _get_type_options(field: str, sent: str, model: Model) -> tuple[str, ...]:
    """Return the options that set the type of a new path, whose first folder it has to be; empty if it is already.

    Whether a type that is new to the team is meant was answered by the push.
    """
    folder = shorten_path(sent).partition("/")[0]
    is_of_type = field != "model_path" or get_canonical_type(folder) == get_canonical_type(model.model_type)
    return () if is_of_type else ("--type", folder, "--new-type")
