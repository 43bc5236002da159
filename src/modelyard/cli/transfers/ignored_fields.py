"""What a push sent for a model that keeps other values, and the commands that set it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelyard.cli.terminal.formatting import quote_reference, quote_word
from modelyard.comfyui.quoting import printable, quoted

if TYPE_CHECKING:
    from modelyard.cli.terminal.remedies.typed_command import TypedCommand
    from modelyard.wire.models import IgnoredField, Model

# The name in a sentence, and the option of ``edit``, of each field that can be changed. Of tags and labels, which are
# lists, ``edit`` takes one option for each.
_EDITED = {
    "model_path": ("path", "--path"),
    "model_type": ("type", "--type"),
    "display_name": ("name", "--name"),
    "description": ("description", "--description"),
    "license": ("licence", "--license"),
    "source_url": ("source", "--source-url"),
    "base_model": ("base model", "--base-model"),
    "trigger_words": ("trigger words", "--trigger-words"),
    "tags": ("tags", "--tag"),
    "required_labels": ("labels", "--label"),
}
_LISTS = ("tags", "required_labels")


def describe_ignored(ignored: IgnoredField, model: Model, version: int, typed: TypedCommand | None = None) -> str:
    """Return what a model keeps, although another value was sent, and what to do; the field may be any other.

    Tags and labels come as one text. Those that were ``typed`` may have commas.
    """
    kept, sent = str(ignored.kept), str(ignored.sent)
    if ignored.field == "file_size" and isinstance(ignored.kept, int) and isinstance(ignored.sent, int):
        happened = f"Content with this hash and {ignored.kept:,} bytes is being verified."
        return f"{happened} Your {ignored.sent:,} bytes were not used. If verification fails, push the file again."
    name, _ = _EDITED.get(ignored.field, (ignored.field.removeprefix("model_"), ""))
    keeps = f"keeps its {name} {quoted(kept)}" if kept else f"is not changed and has no {name}"
    subject = f"Version {version}" if ignored.field == "note" else "The model"
    command = _build_command(ignored.field, sent, model, version, typed)
    change = "" if command is None else f" To change it: {command}"
    return f"{subject} {keeps}, so {quoted(sent)} was not used.{change}"


def _build_command(field: str, sent: str, model: Model, version: int, typed: TypedCommand | None) -> str | None:
    """Return the command that sets a field of a model or its version; None for a field that no command sets."""
    reference = quote_reference(model.model_path)
    if field == "note":
        return f"modelyard version note {reference} {version} {quote_word(printable(sent))}"
    if field not in _EDITED:
        return None
    option = _EDITED[field][1]
    given = typed.list_option_values(option) if typed is not None and field in _LISTS else []
    values = given or (sent.split(", ") if field in _LISTS else [sent])
    options = " ".join(f"{option} {quote_word(printable(value))}" for value in values)
    return f"modelyard edit {reference} {options}"
