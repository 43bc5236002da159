"""The table from failures to messages, remedies and exit codes.

0 ok   1 other   2 usage   3 not signed in   4 refused   5 unreachable   6 bytes wrong   124 timed out   130 interrupted
"""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from modelyard.cli.terminal.formatting import format_duration, quote_reference
from modelyard.cli.terminal.typed_words import fill_placeholders
from modelyard.client.api.urls import AddressRefused
from modelyard.client.atomic_file import LockHeld
from modelyard.client.collections import ModelNotInCollection
from modelyard.client.locks import LockedModelsMissing
from modelyard.client.profile import AccountRequired, KeyRefused, NoKey, ProfileUnreadable, RegistryUnreachable
from modelyard.client.references.matching import MAX_LISTED
from modelyard.client.resolve_models import ModelAmbiguous
from modelyard.client.transfers.collect import DuplicateModelPath, NothingToPush
from modelyard.client.transfers.path_state import VersionNotCurrent
from modelyard.comfyui.model_locations import NameInvalid, TypeUnknown
from modelyard.transfer import errors as transfer_errors
from modelyard.wire import problems
from modelyard.wire.models import Model
from modelyard.wire.paths import ModelPathInvalid
from modelyard.wire.problems import Problem

OTHER, USAGE, NOT_SIGNED_IN, REFUSED, UNREACHABLE, BYTES_WRONG = 1, 2, 3, 4, 5, 6
SIGN_IN = "Sign in: modelyard login URL EMAIL"


@dataclass(frozen=True)
class Explanation:
    """A failure's message, its remedies, and the exit code."""

    sentence: str
    exit_code: int
    fix: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)  # for JSON


# The exit code and remedies of each class; a subclass takes precedence. `{…}` is filled from the failure's facts, and a
# line whose fact is missing is omitted.
_OTHER_RELEASE = (
    "The registry is perhaps of another release than this command line: upgrade the older of the two. To see yours: "
    "modelyard --version",
)
_TABLE: dict[type[BaseException], tuple[int, tuple[str, ...]]] = {
    problems.RouteNotFound: (REFUSED, _OTHER_RELEASE),
    problems.MethodNotAllowed: (REFUSED, _OTHER_RELEASE),
    problems.Unauthenticated: (NOT_SIGNED_IN, (SIGN_IN,)),
    problems.SessionEnded: (NOT_SIGNED_IN, ("Sign in again: modelyard login",)),
    problems.SignInRefused: (
        NOT_SIGNED_IN,
        ("Check the address and the password. The operator can reset it: modelyard reset-password EMAIL",),
    ),
    problems.TeamHeaderMissing: (
        REFUSED,
        ("Select a team: modelyard team switch NAME (modelyard team ls lists yours)",),
    ),
    problems.TeamHeaderMalformed: (REFUSED, ("Select a team: modelyard team switch NAME",)),
    problems.NotAMember: (REFUSED, ("List your teams: modelyard team ls", "Select one: modelyard team switch NAME")),
    problems.RoleTooLow: (REFUSED, ("See your role: modelyard whoami",)),
    problems.KeyNotAllowed: (REFUSED, ("Sign in with your account instead: modelyard login URL EMAIL",)),
    problems.OwnerStays: (REFUSED, ("Make another member the owner first: modelyard team transfer MEMBER",)),
    problems.KeysWouldStop: (
        REFUSED,
        (
            "Hand them to another admin: add --keys-to ADMIN",
            "Or revoke them: add --stop-keys",
            "List them: modelyard key ls",
        ),
    ),
    problems.KeyNotRotatable: (REFUSED, ("List your keys: modelyard key ls",)),
    problems.QuotaExceeded: (
        REFUSED,
        (
            "Show what the team stores: modelyard team show",
            "Remove a model: modelyard rm MODEL",
            "Raise the quota: modelyard team settings --quota 2TB",
        ),
    ),
    problems.TooManyMachines: (
        REFUSED,
        (
            "List the machines: modelyard machine ls",
            "Remove one that is not used any more: modelyard machine rm MACHINE",
            "The operator can allow more: MODELYARD_MAX_MACHINES",
        ),
    ),
    problems.TooManyTeams: (
        REFUSED,
        (
            "List your teams: modelyard team ls",
            "Delete one that is not used any more: modelyard team switch TEAM, then modelyard team rm",
            "Or make another member its owner: modelyard team transfer MEMBER",
            "The operator can allow more: MODELYARD_MAX_TEAMS",
        ),
    ),
    problems.ModelPathTaken: (
        REFUSED,
        (
            "Go back to that version instead: modelyard rollback {model} --to {same_version}",
            "Show the model that is there: modelyard show {model}",
            "Upload yours as its next version: modelyard push --replace {FILE}",
            "Or keep both: modelyard push --path '{free_path}' {FILE}",
            "Move that one: modelyard edit {model} --path '{free_path}' (then: modelyard restore {restored_id})",
            "Or remove it: modelyard rm {model} (then: modelyard restore {restored_id})",
            "Use another path: modelyard edit {moved_id} --path '{free_path}'",
        ),
    ),
    problems.VersionConflict: (
        REFUSED,
        (
            "List its versions: modelyard version ls {model}",
            "Show it: modelyard collection show {collection_id}",
            "Make yours the next one: run the same command again.",
        ),
    ),
    problems.VersionInUse: (
        REFUSED,
        (
            "Make the version before it the current one first: modelyard rollback MODEL",
            "Or remove the whole model: modelyard rm MODEL",
        ),
    ),
    problems.VersionNotFound: (
        REFUSED,
        ("List them: modelyard version ls MODEL", "List those in the trash: modelyard version ls MODEL --deleted"),
    ),
    LockedModelsMissing: (
        REFUSED,
        ("List what is missing: modelyard lock --check LOCK", "Upload a file with that content: modelyard push FILE"),
    ),
    VersionNotCurrent: (REFUSED, ("Make it the current one: modelyard rollback {model} --to {version}",)),
    problems.ModelTypeUnknown: (REFUSED, ("Use the known type: --type {suggestion}",)),
    problems.ModelNotVerified: (REFUSED, ("See the state of its verification: modelyard show MODEL",)),
    problems.CollectionNotFound: (REFUSED, ("List the collections: modelyard collection ls",)),
    problems.CollectionVersionNotFound: (REFUSED, ("List its versions: modelyard collection versions COLLECTION",)),
    problems.SubscriptionNotFound: (REFUSED, ("List what is subscribed: modelyard collection show COLLECTION",)),
    problems.RolloutNotFound: (REFUSED, ("Start one: modelyard collection rollout start COLLECTION",)),
    problems.LoadersChanged: (REFUSED, ("Run the same command again.",)),
    problems.RolloutConflict: (REFUSED, ("See its state: modelyard collection rollout status COLLECTION",)),
    problems.CollectionLimitReached: (REFUSED, ("List the team's collections: modelyard collection ls",)),
    problems.CollectionNameTaken: (
        REFUSED,
        (
            "Show the one that has it: modelyard collection show {collection_id}",
            "Make your models its version {next_version}: run the same command again with --replace.",
        ),
    ),
    problems.ModelNotFound: (REFUSED, ("List the models: modelyard ls",)),
    ModelNotInCollection: (REFUSED, ("List its models: modelyard collection show {collection_id}",)),
    problems.MemberNotFound: (REFUSED, ("List the members: modelyard member ls",)),
    problems.InvitationNotFound: (REFUSED, ("Ask an admin for a new one: modelyard invite create EMAIL",)),
    problems.AgentNotFound: (REFUSED, ("List the machines: modelyard machine ls",)),
    problems.SourceTokenNotFound: (REFUSED, ("List the hosts that have one: modelyard source-token ls",)),
    problems.SourceTokenLimitReached: (REFUSED, ("Remove one: modelyard source-token rm HOST",)),
    problems.CredentialNotFound: (REFUSED, ("List your keys: modelyard key ls",)),
    problems.SessionNotFound: (REFUSED, ("List your sessions: modelyard account sessions",)),
    problems.PairingNotFound: (REFUSED, ("Start again: {command}",)),
    problems.AccountExists: (REFUSED, ("Sign in with it, then accept the invitation: modelyard login URL EMAIL",)),
    problems.TooManyAttempts: (REFUSED, ("Try again in {retry_in}.",)),
    problems.TooManyUploads: (
        REFUSED,
        (
            "Run pushes again that were interrupted, so that they finish.",
            "The next unfinished upload expires in {retry_in}. The operator can allow more: MODELYARD_OPEN_UPLOADS",
        ),
    ),
    problems.HashMismatch: (BYTES_WRONG, ("Push the file again; it is read and sent from the start.",)),
    problems.SizeMismatch: (
        BYTES_WRONG,
        # Not for content whose size is known: the same file would be refused again.
        ("The upload was requested for {presigned} bytes. Push the file again, and do not change it meanwhile.",),
    ),
    problems.UploadIncomplete: (REFUSED, ("Push the file again: it continues, or is sent from the start.",)),
    problems.ChecksumWrong: (BYTES_WRONG, ("Push the file again; it is read and sent from the start.",)),
    problems.ModelDamaged: (BYTES_WRONG, ("Push an intact copy to repair it: modelyard push FILE",)),
    problems.Unavailable: (UNREACHABLE, ("Try again in {retry_in}.",)),
    problems.StorageFull: (
        REFUSED,
        (
            "The registry keeps the parts that were sent. When the operator has freed disk space, run the same command"
            " again: it continues.",
        ),
    ),
    problems.VerificationQueueFull: (
        UNREACHABLE,
        ("Push again later. To list the files that wait: modelyard ls --verification pending",),
    ),
    problems.InternalError: (OTHER, ("Report it to the operator with this request id: {request_id}",)),
    Problem: (REFUSED, ()),
    transfer_errors.Unreachable: (
        UNREACHABLE,
        ("Check that the registry is running and the address is right. Set another: modelyard login URL EMAIL",),
    ),
    transfer_errors.RetriesExhausted: (
        UNREACHABLE,
        ("Run the same command again: it continues. To retry for longer, add: --give-up-after 1h",),
    ),
    RegistryUnreachable: (
        UNREACHABLE,
        (
            "Check that the registry is running and the address is right. Set another: modelyard agent pair --url URL",
            "Find other problems: modelyard agent doctor",
        ),
    ),
    transfer_errors.BadResponse: (UNREACHABLE, ()),
    transfer_errors.FileListMismatch: (UNREACHABLE, ("Run the same command again.",)),
    transfer_errors.FileChanged: (OTHER, ("When nothing writes to the file any more, run the same command again.",)),
    transfer_errors.DiskFull: (OTHER, ("Then run the same command again: it continues.",)),
    transfer_errors.DigestMismatch: (
        BYTES_WRONG,
        (
            "Run the same command again. If that fails too, the file is damaged at the registry or on the way from it.",
            "The registry reads its files again regularly: modelyard show MODEL says whether this one is damaged.",
            "If it is, ask who pushed it to push it again: modelyard push FILE",
        ),
    ),
    transfer_errors.TargetExists: (REFUSED, ("Replace it: modelyard pull --force MODEL",)),
    transfer_errors.OtherFilesInFolder: (REFUSED, ()),
    transfer_errors.TransferFailed: (OTHER, ()),
    ModelAmbiguous: (REFUSED, ()),
    NameInvalid: (
        USAGE,
        (
            "Push it under that name: modelyard push --path '{suggestion}' FILE (or --clean-names for all files)",
            "Workflows that use the file by its old name have to be changed.",
        ),
    ),
    TypeUnknown: (USAGE, ()),
    NothingToPush: (USAGE, ()),
    DuplicateModelPath: (USAGE, ("Give one of them another path: modelyard push --path models/<type>/<file> FILE",)),
    ModelPathInvalid: (USAGE, ()),
    AddressRefused: (USAGE, ()),
    ValidationError: (USAGE, ()),
    ValueError: (USAGE, ()),
    ProfileUnreadable: (OTHER, ()),
    LockHeld: (OTHER, ()),
    KeyRefused: (
        NOT_SIGNED_IN,
        ("Pair this machine again: modelyard agent pair --url {url}", "Find other problems: modelyard agent doctor"),
    ),
    AccountRequired: (
        NOT_SIGNED_IN,
        (
            "Sign in here with your account: modelyard login {url} EMAIL",
            "Or confirm this machine's sign-in elsewhere: modelyard login {url} --device",
            "Or set MODELYARD_TOKEN to a key that only reads (sk-), which an admin makes: modelyard key create NAME"
            " --access read",
        ),
    ),
    NoKey: (NOT_SIGNED_IN, ()),
    OSError: (OTHER, ()),
}


# How pydantic begins its messages, and what people read instead. The first that fits counts.
_REWORDED = (
    ("Value error, ", ""),
    ("Input should be greater", "Use a number greater"),
    ("Input should be less", "Use a number less"),
    ("Input should be ", "Use "),
    ("String should ", "The text should "),
    ("Field required", "This is missing"),
    ("Extra inputs are not permitted", "There is no such field"),
)


def explain_failure(error: BaseException, file: Path | None = None) -> Explanation | None:
    """Return the message, remedies and exit code of a failure; None for an unknown class, which is a bug.

    Remedies have the words of the running command; ``file`` is the one that failed, if the command has several.
    """
    row = next((_TABLE[kind] for kind in type(error).__mro__ if kind in _TABLE), None)
    if row is None:
        return None
    exit_code, fixes = row
    if isinstance(error, transfer_errors.Refused):
        is_full = error.status == problems.StorageFull.status
        exit_code = UNREACHABLE if error.status >= 500 and not is_full else REFUSED
        fixes = _TABLE[problems.StorageFull][1] if is_full else fixes
    facts = _get_facts(error)
    known = {} if file is None else {"FILE": str(file)}
    lines = [fill_placeholders(line, known) for fix in fixes if (line := _format_fix(fix, facts)) is not None]
    document = _build_document(error, facts, exit_code)
    return Explanation(_get_message(error), exit_code, lines + _list_candidates(error), document)


def _get_facts(error: BaseException) -> dict[str, Any]:
    """Return the values that fill a failure's remedies and its JSON document."""
    match error:
        case Problem():
            return error.facts
        case NameInvalid():
            return {"suggestion": error.suggestion}
        case LockedModelsMissing():
            return {"missing": [{"model_path": each.path.relative, "sha256": each.sha256} for each in error.models]}
        case AccountRequired():
            return {"url": error.url or "URL"}
        case KeyRefused():
            return {"url": error.url}
        case VersionNotCurrent():
            return {"model_id": str(error.model_id), "model_path": error.model_path, "version": error.version}
        case _:
            return {}


def _format_fix(fix: str, facts: Mapping[str, Any]) -> str | None:
    """Fill a remedy from the facts; None if a fact is missing.

    ``retry_in`` is ``retry_after`` as a duration, and ``model`` the path of the model as a word, or else its id.
    """
    known = {name: value for name, value in facts.items() if value is not None}
    if isinstance(path := known.get("model_path"), str):
        known["model"] = quote_reference(path)
    elif "model_id" in known:
        known["model"] = known["model_id"]
    if known.keys().isdisjoint(("moved_id", "restored_id")):
        known["FILE"] = "FILE"  # the command was about a file
    if isinstance(seconds := known.get("retry_after"), int | float):
        known["retry_in"] = format_duration(seconds)
    try:
        return fix.format_map(known)
    except KeyError:
        return None


def _get_message(error: BaseException) -> str:
    """Return a failure's message; invalid fields are listed one a line."""
    match error:
        case ValidationError():
            return "\n".join(f"{'.'.join(map(str, each['loc']))}: {_reword(each['msg'])}" for each in error.errors())
        case Problem() if error.facts.get("errors"):
            return "\n".join([error.detail, *_format_field_errors(error.facts["errors"])])
        case ModelAmbiguous():
            return f"{error.reason} Use one of these:"
        case OSError() if error.filename is not None:
            return f'"{error.filename}": {error.strerror}.'
        case _:
            return str(error) or type(error).__name__


def _format_field_errors(errors: object) -> list[str]:
    """Return an indented line for each invalid field of a 422 response; entries of an unexpected form are omitted."""
    rows = errors if isinstance(errors, list) else []
    return [f"  {row.get('field')}: {_reword(str(row.get('message')))}" for row in rows if isinstance(row, dict)]


def _reword(message: str) -> str:
    """Return a validator's message in plain words, such as ``Use 'active' or 'disabled'``; others as they are."""
    for start, words in _REWORDED:
        if message.startswith(start):
            return words + message.removeprefix(start)
    return message


def _list_candidates(error: BaseException) -> list[str]:
    """Return a line for each model that an ambiguous or unknown name may have meant; empty for other failures."""
    match error:
        case ModelAmbiguous():
            matches = [*zip(error.references, error.candidates, strict=True)]
            lines = [f"{shlex.quote(reference)}  ({_describe(model)})" for reference, model in matches[:MAX_LISTED]]
            return lines if len(matches) <= MAX_LISTED else [*lines, f"… and {len(matches) - MAX_LISTED} more"]
        case problems.ModelNotFound() if isinstance(similar := error.facts.get("similar"), list):
            return [f"Similar: {path}" for path in similar]
        case _:
            return []


def _describe(model: Model) -> str:
    """Return what a person recognizes a model by: its name, path and who pushed it."""
    return f"'{model.display_name}', {model.model_path}, of {model.created_by.display_name}"


def _build_document(error: BaseException, facts: Mapping[str, Any], exit_code: int) -> dict[str, Any]:
    """Return the JSON object of a failure; ``error_code`` is a problem's slug in snake_case, else the class's name."""
    code = error.slug.replace("-", "_") if isinstance(error, Problem) else type(error).__name__
    document = {"error_code": code, "detail": _get_message(error), "exit_code": exit_code} | dict(facts)
    if isinstance(error, ModelAmbiguous):
        matches = [*zip(error.references, error.candidates, strict=True)]
        listed = [model.model_dump(mode="json") | {"reference": reference} for reference, model in matches[:MAX_LISTED]]
        document |= {"candidates": listed, "candidate_count": len(matches)}
    return document
