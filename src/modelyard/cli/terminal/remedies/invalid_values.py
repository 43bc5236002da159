"""Messages about values that are not valid, with the names that a command has for them."""

from collections.abc import Iterable
from typing import Any, TypeGuard

from pydantic import ValidationError

from modelyard.agent.settings import ENVIRONMENT_PREFIX, AgentSettings
from modelyard.cli.terminal.formatting import quote_word
from modelyard.cli.terminal.remedies.typed_command import TypedCommand, get_help_name
from modelyard.wire.agents.values import AGENT_ID_PATTERN
from modelyard.wire.hashes.texts import HASH_PATTERN
from modelyard.wire.models import LABEL_PATTERN
from modelyard.wire.schemas import FILE_HASH_PATTERN
from modelyard.wire.texts.rules import EMAIL_PATTERN, INVISIBLE, NOTE_PATTERN
from modelyard.wire.texts.validation_messages import reword_message

_SHORT_NAME = "Use up to 64 letters, digits, dots, hyphens and underscores, without spaces"
# What texts have to be, by their pattern.
_RULES = {
    rf"^https?://[^{INVISIBLE}]+$": "Use an address that begins with https:// or http://, without spaces",
    LABEL_PATTERN: _SHORT_NAME,
    AGENT_ID_PATTERN: _SHORT_NAME,
    HASH_PATTERN: "Use a hash, or at least its first 8 digits",
    FILE_HASH_PATTERN: "Use sha256: and 64 hexadecimal digits",
    EMAIL_PATTERN: "Use an e-mail address",
    NOTE_PATTERN: "Use visible characters, tabs and line ends",
}

# The parameters of commands for fields of another name. The first that a command has counts: ``name`` may be the
# argument that says which object gets a ``new_name``.
_PARAMETERS = {
    "agent_id": ("agent_id", "machine"),
    "agent_labels": ("labels", "label"),
    "canary_label": ("canary",),
    "device_name": ("name",),
    "disk_budget_bytes": ("size",),
    "display_name": ("new_name", "name"),
    "email_address": ("email",),
    "event_list": ("event",),
    "file_hash": ("file_hash",),
    "input": ("input_name",),
    "invitation_role": ("role",),
    "invitation_token": ("token",),
    "is_automatic": ("automatic",),
    "kept_version_days": ("keep_version_days",),
    "kept_versions": ("keep_versions",),
    "labels": ("label",),
    "license": ("license_name",),
    "member_role": ("role",),
    "min_ready_seconds": ("min_ready",),
    "model_list": ("models",),
    "model_path": ("path",),
    "model_status": ("status",),
    "name": ("new_name", "name"),
    "node_type": ("node_type", "node"),
    "note": ("note", "text"),
    "q": ("words",),
    "quota_bytes": ("quota",),
    "required_labels": ("label",),
    "tags": ("tag",),
    "user_code": ("code",),
}
# Fields that no command has a parameter for, but asks for or reads.
_NAMES = {"user_password": "password", "current_password": "current password", "new_password": "new password"}


def list_invalid_values(error: ValidationError, typed: TypedCommand | None) -> list[str]:
    """Return a line for each invalid value that this program has found."""
    if error.title == AgentSettings.__name__:
        return [_format_setting(".".join(map(str, each["loc"])), each["msg"], typed) for each in error.errors()]
    return [_format_value(".".join(map(str, each["loc"])), each["msg"], typed) for each in error.errors()]


def list_refused_values(errors: object, typed: TypedCommand | None) -> list[str]:
    """Return a line for each invalid value in a registry's response; entries of an unexpected form are omitted."""
    rows: Iterable[Any] = errors if isinstance(errors, list) else []
    named = [(row.get("field"), row.get("message")) for row in rows if isinstance(row, dict)]
    return [_format_value(field, message, typed) for field, message in named if _is_text(field) and _is_text(message)]


def _is_text(value: object) -> TypeGuard[str]:
    """Return whether a value is a text that is not empty."""
    return isinstance(value, str) and value != ""


def _format_value(field: str, message: str, typed: TypedCommand | None) -> str:
    """Return what is not valid, by the name that the command has for it, and why; of a list, which of its values.

    A field whose option was not typed has its own name, unless its value is what is missing.
    """
    name, *place = field.split(".")
    parameter = _find_parameter(name, typed)
    typed_values = [] if typed is None or parameter is None else typed.get_values(parameter)
    if parameter is None or not (typed_values or message.startswith("Field required")):
        shown = _NAMES.get(name, name.replace("_", " "))
    else:
        shown = max(parameter.opts, key=len) if parameter.opts[0].startswith("-") else get_help_name(parameter)
    if len(place) == 1 and place[0].isdecimal() and 1 < len(typed_values) > int(place[0]):
        shown = f"{shown} {quote_word(typed_values[int(place[0])])}"
    return f"{shown}: {reword_message(message, rules=_RULES)}"


def _format_setting(field: str, message: str, typed: TypedCommand | None) -> str:
    """Return which setting of the agent is not valid, by the name of its option if that was typed, and why."""
    name = field.partition(".")[0]
    parameter = _find_parameter(name, typed)
    if typed is not None and parameter is not None and typed.get_values(parameter):
        return _format_value(field, message, typed)
    known = AgentSettings.model_fields.get(name)
    rule = "" if known is None or known.description is None else f"It is: {known.description.partition('. ')[0]}"
    return f"{ENVIRONMENT_PREFIX}{name.upper()} (in agent.toml: {name}): {reword_message(message, rule, _RULES)}"


def _find_parameter(field: str, typed: TypedCommand | None) -> Any:
    """Return the parameter of the command that a field has its value from; None if there is none."""
    if typed is None:
        return None
    # Those of the program come before those of the command, such as the address of a webhook.
    of_name = {each.name: each for each, _ in typed.values}
    return next((of_name[name] for name in get_parameter_names(field) if name in of_name), None)


def get_parameter_names(field: str) -> tuple[str, ...]:
    """Return the names that the parameter of a field may have, the one that counts first at the front."""
    return _PARAMETERS.get(field, (field,))
