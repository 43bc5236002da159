"""The messages, remedies and exit codes of failures."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from modelyard.cli.terminal.formatting import format_duration, format_model_path, quote_word, shorten_path
from modelyard.cli.terminal.remedies.exit_codes import REFUSED, UNREACHABLE, Table
from modelyard.cli.terminal.remedies.invalid_values import list_invalid_values, list_refused_values
from modelyard.cli.terminal.remedies.of_local_failures import LOCAL_FAILURES
from modelyard.cli.terminal.remedies.of_problems import PROBLEMS, REFUSED_VARIABLE, REPLACED_VARIABLE
from modelyard.cli.terminal.remedies.typed_command import TypedCommand
from modelyard.cli.terminal.remedies.words import NotRepeatable, add_scopes, build_words
from modelyard.client.locks import LockedModelsMissing
from modelyard.client.profile import AccountRequired, KeyRefused
from modelyard.client.references.matching import MAX_LISTED
from modelyard.client.resolve_models import ModelAmbiguous, SeveralNotFound
from modelyard.client.transfers.collect import FolderIsOneModel
from modelyard.client.transfers.path_state import VersionNotCurrent
from modelyard.client.transfers.pull import FormatDiffers
from modelyard.client.workflow_checks import WorkflowsUnchecked
from modelyard.comfyui.model_locations import NameInvalid
from modelyard.transfer import errors as transfer_errors
from modelyard.wire import problems
from modelyard.wire.models import Model
from modelyard.wire.problems import Problem

# A subclass takes precedence.
_TABLE: Table = {**PROBLEMS, **LOCAL_FAILURES}


@dataclass(frozen=True)
class Explanation:
    """A failure's message, its remedies, and the exit code."""

    sentence: str
    exit_code: int
    fix: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)  # for JSON


def explain_failure(
    error: BaseException, typed: TypedCommand | None = None, file: Path | None = None
) -> Explanation | None:
    """Return the message, remedies and exit code of a failure; None for an unknown class, which is a bug.

    Remedies repeat what was ``typed``; ``file`` is the one that failed, if the command has several.
    """
    if isinstance(error, SeveralNotFound):
        return _explain_each(error.errors, typed)
    row = _find_row(error)
    if row is None:
        return None
    exit_code, fixes = _adjust(row, error, typed)
    facts = _get_facts(error)
    words = build_words(typed, _find_folder(error) or file) | _get_words(error, facts, typed)
    lines = [line for fix in fixes if (line := _fill(fix, words)) is not None]
    sentence = _get_message(error, typed)
    lines += _list_candidates(error)
    document = _build_document(error, sentence, facts, exit_code) | {"fix": lines}
    return Explanation(sentence, exit_code, lines, document)


def _find_folder(error: BaseException) -> Path | None:
    """Return the folder that is to be pushed as one model instead of what failed; None for other failures."""
    match error:
        case FolderIsOneModel():
            return error.folder
        case problems.ModelPathTaken() if isinstance(folder := error.facts.get("own_folder"), str):
            return Path(folder)
        case _:
            return None


def _find_row(error: BaseException) -> tuple[int, tuple[str, ...]] | None:
    """Return the exit code and the remedies of the class of a failure; None for an unknown one."""
    return next((_TABLE[kind] for kind in type(error).__mro__ if kind in _TABLE), None)


def _explain_each(errors: Sequence[Exception], typed: TypedCommand | None) -> Explanation:
    """Return the messages of several failures, each with the models that may be meant, and each remedy once."""
    explained = [explanation for each in errors if (explanation := explain_failure(each, typed)) is not None]
    candidates = [_list_candidates(each) for each in errors]
    pairs = [*zip(explained, candidates, strict=True)]
    sentence = "\n".join("\n  ".join([each.sentence, *lines]) for each, lines in pairs)
    fix = list(dict.fromkeys(line for each, lines in pairs for line in each.fix if line not in lines))
    document = {"error_code": SeveralNotFound.__name__, "detail": sentence, "exit_code": REFUSED, "fix": fix}
    return Explanation(sentence, REFUSED, fix, document | {"errors": [each.facts for each in explained]})


def _adjust(
    row: tuple[int, tuple[str, ...]], error: BaseException, typed: TypedCommand | None
) -> tuple[int, tuple[str, ...]]:
    """Return the exit code and the remedies of a failure, where they depend on more than its class."""
    exit_code, fixes = row
    match error:
        case WorkflowsUnchecked():
            return max(found[0] for each in error.failed if (found := _find_row(each.error))), fixes
        case transfer_errors.Refused(status=problems.StorageFull.status):
            return REFUSED, _TABLE[problems.StorageFull][1]
        case transfer_errors.Refused():
            return UNREACHABLE if error.status >= 500 else REFUSED, fixes
        case problems.Unauthenticated() if os.environ.get("MODELYARD_TOKEN"):
            return exit_code, REFUSED_VARIABLE
        case problems.ModelPathTaken() if error.facts.get("own_path") or error.facts.get("own_folder"):
            return exit_code, tuple(fix for fix in fixes if "--replace" not in fix)
        case problems.ModelTypeUnknown():
            typed_options = [option for option in ("--path", "--type") if typed and typed.list_option_values(option)]
            position = len(typed_options) if "--path" in typed_options else 0
            return exit_code, fixes[position : position + 1]
        case problems.ModelDamaged():
            position = (1 if error.facts.get("is_current") else 2) if error.facts.get("was_verified") else 0
            position = position if error.facts.get("model_path") else 3
            return exit_code, fixes[position : position + 1]
        case problems.KeyNotAllowed() if os.environ.get("MODELYARD_TOKEN"):
            return exit_code, REPLACED_VARIABLE
        case transfer_errors.RetriesExhausted() if typed is not None and typed.list_option_values("--give-up-after"):
            return exit_code, fixes[:1]
        case _:
            return row


def _get_facts(error: BaseException) -> dict[str, Any]:
    """Return the values that fill a failure's remedies and its JSON document."""
    match error:
        case Problem():
            return error.facts
        case NameInvalid() | FormatDiffers():
            return {"suggestion": error.suggestion}
        case FolderIsOneModel():
            return {"model_type": error.model_type}
        case LockedModelsMissing():
            return {"missing": [{"model_path": each.path.relative, "sha256": each.sha256} for each in error.models]}
        case KeyRefused():
            return {"url": error.url, "used_name": error.used_name, "key_name": error.key_name}
        case AccountRequired():
            return {"url": error.url}
        case VersionNotCurrent():
            return {"model_id": str(error.model_id), "model_path": error.model_path, "version": error.version}
        case _:
            return {}


def _get_words(error: BaseException, facts: Mapping[str, Any], typed: TypedCommand | None) -> dict[str, object]:
    """Return the words that a failure's facts are in remedies.

    ``raw`` has them unquoted, for options that ``{again:…}`` adds. ``retry_in`` is ``retry_after`` as a duration,
    ``model`` the path of the model, or else its id, and ``known_path`` the typed path with the type that is suggested.
    ``folder_options`` push a folder as one model.
    Of damaged content, ``copy`` is what to push, and ``repair_path`` a path for a model that is only pushed to repair.
    """
    known = {name: value for name, value in facts.items() if value is not None}
    if isinstance(error, problems.ModelTypeUnknown) and typed and (paths := typed.list_option_values("--path")):
        below = paths[-1].removeprefix("models/").partition("/")[2]
        known["known_path"] = f"models/{known['suggestion']}/{below}"
    words = {name: quote_word(value) if isinstance(value, str) else value for name, value in known.items()}
    words["raw"] = known
    if isinstance(path := known.get("model_path"), str):
        words["model"] = quote_word(shorten_path(path))
    elif "model_id" in known:
        words["model"] = words["model_id"]
    if isinstance(error, problems.ModelDamaged) and isinstance(path, str):
        words["copy"] = "DIR --as-folder" if known.get("is_folder") else "FILE"
        stem, dot, extension = (shorten_path(path), "", "") if known.get("is_folder") else path.rpartition(".")
        words["repair_path"] = quote_word(shorten_path(f"{stem}_repair{dot}{extension}"))
    if isinstance(error, FolderIsOneModel):
        words["folder_options"] = f"--as-folder\n--type {error.model_type}" if error.model_type else "--as-folder"
    elif "own_folder_path" in known:
        words["folder_options"] = f"--as-folder\n--path {known['own_folder_path']}"
    if isinstance(seconds := known.get("retry_after"), int | float):
        words["retry_in"] = format_duration(seconds)
    if isinstance(error, AccountRequired) and error.url:
        words["registry"] = words["url"]
    return words


def _fill(fix: str, words: Mapping[str, object]) -> str | None:
    """Fill a remedy; None if one of its words is missing."""
    try:
        return add_scopes(fix).format_map(words)
    except (KeyError, NotRepeatable):
        return None


def _get_message(error: BaseException, typed: TypedCommand | None) -> str:
    """Return a failure's message; invalid values are listed one a line."""
    match error:
        case ValidationError():
            return "\n".join(list_invalid_values(error, typed))
        case Problem() if lines := list_refused_values(error.facts.get("errors"), typed):
            return "\n".join(lines)
        case ModelAmbiguous():
            return f"{error.reason} Use one of these:"
        case OSError() if error.filename is not None:
            return f'"{error.filename}": {error.strerror}.'
        case _:
            return str(error) or type(error).__name__


def _list_candidates(error: BaseException) -> list[str]:
    """Return a line for each model that an ambiguous or unknown name may have meant; empty for other failures."""
    match error:
        case ModelAmbiguous():
            matches = [*zip(error.references, error.candidates, strict=True)]
            lines = [f"{quote_word(reference)}  ({_describe(model)})" for reference, model in matches[:MAX_LISTED]]
            return lines if len(matches) <= MAX_LISTED else [*lines, f"… and {len(matches) - MAX_LISTED} more"]
        case problems.ModelNotFound() if isinstance(similar := error.facts.get("similar"), list):
            return [f"Similar: {format_model_path(path)}" for path in similar]
        case _:
            return []


def _describe(model: Model) -> str:
    """Return what a person recognizes a model by: its name, path and who pushed it."""
    return f"'{model.display_name}', {format_model_path(model.model_path)}, of {model.created_by.display_name}"


def _build_document(error: BaseException, sentence: str, facts: Mapping[str, Any], exit_code: int) -> dict[str, Any]:
    """Return the JSON object of a failure; ``error_code`` is a problem's slug in snake_case, else the class's name."""
    code = error.slug.replace("-", "_") if isinstance(error, Problem) else type(error).__name__
    document = {"error_code": code, "detail": sentence, "exit_code": exit_code} | dict(facts)
    if isinstance(error, ModelAmbiguous):
        matches = [*zip(error.references, error.candidates, strict=True)]
        listed = [model.model_dump(mode="json") | {"reference": reference} for reference, model in matches[:MAX_LISTED]]
        document |= {"candidates": listed, "candidate_count": len(matches)}
    return document
