"""One table: a failure, the command that fixes it, the exit code.

0 ok   1 other   2 usage   3 not signed in   4 refused   5 unreachable   6 bytes wrong   130 interrupted
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from modelyard.client.address import AddressRefused
from modelyard.client.durable import Busy
from modelyard.client.library import NameUnfit, TypeUnknown
from modelyard.client.lookup import ModelAmbiguous
from modelyard.client.profile import KeyRefused, NoKey, ProfileUnreadable
from modelyard.client.selection import NothingToPush, SamePlaceTwice
from modelyard.transfer import failures
from modelyard.wire import problems
from modelyard.wire.paths import PathRefused
from modelyard.wire.problems import Problem

OTHER, USAGE, NOT_SIGNED_IN, REFUSED, UNREACHABLE, BYTES_WRONG = 1, 2, 3, 4, 5, 6
SIGN_IN = "Sign in: modelyard login URL EMAIL"


@dataclass(frozen=True)
class Explained:
    """A failure in words, what to do about it, and the exit code that scripts see."""

    sentence: str
    exit_code: int
    fix: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)  # for JSON


# The most exact class wins. `{…}` is filled from the failure's facts; a line whose fact is missing is left out.
_TABLE: dict[type[BaseException], tuple[int, tuple[str, ...]]] = {
    problems.Unauthenticated: (NOT_SIGNED_IN, (SIGN_IN,)),
    problems.SessionEnded: (NOT_SIGNED_IN, ("Sign in again: modelyard login",)),
    problems.SignInRefused: (
        NOT_SIGNED_IN,
        ("Check the address and the password. The operator can make a new one: modelyard reset-password EMAIL",),
    ),
    problems.TeamHeaderMissing: (
        REFUSED,
        ("Choose a team: modelyard team switch NAME (modelyard whoami lists yours)",),
    ),
    problems.TeamHeaderMalformed: (REFUSED, ("Choose a team: modelyard team switch NAME",)),
    problems.NotAMember: (REFUSED, ("Your teams: modelyard whoami", "Change: modelyard team switch NAME")),
    problems.RoleTooLow: (REFUSED, ("Ask an admin or the owner of the team; your role: modelyard whoami",)),
    problems.KeyNotAllowed: (REFUSED, ("Sign in as a person: modelyard login URL EMAIL",)),
    problems.OwnerStays: (REFUSED, ("Hand the team over first: modelyard team transfer MEMBER",)),
    problems.QuotaExceeded: (
        REFUSED,
        (
            "What it holds: modelyard team show",
            "Make room: modelyard rm MODEL",
            "Raise it: modelyard team settings --quota 2TB",
        ),
    ),
    problems.ModelPathTaken: (
        REFUSED,
        (
            "What is there: modelyard show {model_id}",
            "Put the new bytes in its place: modelyard push --replace FILE",
            "Or keep both: modelyard push --path '{free_path}' FILE",
        ),
    ),
    problems.ModelNotVerified: (REFUSED, ("See how far it is: modelyard show MODEL",)),
    problems.ModelNotFound: (REFUSED, ("What there is: modelyard ls",)),
    problems.MemberNotFound: (REFUSED, ("Who there is: modelyard members ls",)),
    problems.InvitationNotFound: (REFUSED, ("Ask an admin for a new one: modelyard invite create EMAIL",)),
    problems.AgentNotFound: (REFUSED, ("What there is: modelyard agents list",)),
    problems.CredentialNotFound: (REFUSED, ("Your keys: modelyard keys ls",)),
    problems.PairingNotFound: (REFUSED, ("Start again on the device: modelyard --url URL pair",)),
    problems.AccountExists: (REFUSED, ("Sign in with it, then accept: modelyard login URL EMAIL",)),
    problems.TooManyAttempts: (REFUSED, ("Try again in {retry_after} seconds.",)),
    problems.HashMismatch: (BYTES_WRONG, ("Push the file again; it is read and sent anew.",)),
    problems.ChecksumWrong: (BYTES_WRONG, ("Push the file again; it is read and sent anew.",)),
    problems.ModelDamaged: (BYTES_WRONG, ("Whoever has a good copy heals it: modelyard push FILE",)),
    problems.Unavailable: (UNREACHABLE, ("Try again in {retry_after} seconds.",)),
    problems.InternalError: (OTHER, ("Tell the operator this request id: {request_id}",)),
    Problem: (REFUSED, ()),
    failures.Unreachable: (
        UNREACHABLE,
        ("Is the registry running, and is this its address? modelyard login URL EMAIL sets another.",),
    ),
    failures.BadAnswer: (UNREACHABLE, ()),
    failures.WrongBytes: (BYTES_WRONG, ()),
    failures.TargetTaken: (REFUSED, ("Replace it: modelyard pull --force MODEL",)),
    failures.TransferFailed: (OTHER, ()),
    ModelAmbiguous: (REFUSED, ()),
    NameUnfit: (
        USAGE,
        (
            "Push it under that name: modelyard push --path '{suggestion}' FILE (or --clean-names for all files)",
            "Workflows that name the old file will ask for the old name.",
        ),
    ),
    TypeUnknown: (USAGE, ()),
    NothingToPush: (USAGE, ()),
    SamePlaceTwice: (USAGE, ("Give one of them another place: modelyard push --path models/<type>/<file> FILE",)),
    PathRefused: (USAGE, ()),
    AddressRefused: (USAGE, ()),
    ValidationError: (USAGE, ()),
    ValueError: (USAGE, ()),
    ProfileUnreadable: (OTHER, ()),
    Busy: (OTHER, ()),
    KeyRefused: (
        NOT_SIGNED_IN,
        ("Pair this machine again: modelyard agent pair --url URL", "What else may be wrong: modelyard doctor"),
    ),
    NoKey: (NOT_SIGNED_IN, ()),
    OSError: (OTHER, ()),
}


def explained(error: BaseException) -> Explained | None:
    """The failure in words; None for what nobody foresaw, which is a bug and should show where it is."""
    row = next((_TABLE[kind] for kind in type(error).__mro__ if kind in _TABLE), None)
    if row is None:
        return None
    exit_code, fixes = row
    if isinstance(error, failures.Refused):
        exit_code = UNREACHABLE if error.status >= 500 and error.status != 507 else REFUSED
    facts = _facts(error)
    lines = [line for fix in fixes if (line := _filled(fix, facts)) is not None]
    return Explained(_sentence(error), exit_code, lines + _candidates(error), _document(error, facts, exit_code))


def _facts(error: BaseException) -> dict[str, Any]:
    match error:
        case Problem():
            return error.facts
        case NameUnfit():
            return {"suggestion": error.suggestion}
        case _:
            return {}


def _filled(fix: str, facts: Mapping[str, Any]) -> str | None:
    known = {name: value for name, value in facts.items() if value is not None}
    try:
        return fix.format_map(known)
    except KeyError:
        return None


def _sentence(error: BaseException) -> str:
    match error:
        case ValidationError():
            return "\n".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        case Problem() if error.facts.get("errors"):
            return "\n".join([error.detail, *_field_errors(error.facts["errors"])])
        case OSError() if error.filename is not None:
            return f'"{error.filename}": {error.strerror}.'
        case _:
            return str(error) or type(error).__name__


def _field_errors(errors: object) -> list[str]:
    """The fields of a 422, as far as the answer has the agreed form."""
    rows = errors if isinstance(errors, list) else []
    return [f"  {row.get('field')}: {row.get('message')}" for row in rows if isinstance(row, dict)]


def _candidates(error: BaseException) -> list[str]:
    match error:
        case ModelAmbiguous():
            return [f"{model.id}  {model.model_path}  '{model.display_name}'" for model in error.candidates]
        case problems.ModelNotFound() if isinstance(similar := error.facts.get("similar"), list):
            return [f"Similar: {path}" for path in similar]
        case _:
            return []


def _document(error: BaseException, facts: Mapping[str, Any], exit_code: int) -> dict[str, Any]:
    code = error.slug.replace("-", "_") if isinstance(error, Problem) else type(error).__name__
    document = {"error_code": code, "detail": _sentence(error), "exit_code": exit_code} | dict(facts)
    if isinstance(error, ModelAmbiguous):
        document["candidates"] = error.candidates
    return document
