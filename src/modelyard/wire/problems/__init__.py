"""API problems: failures that a caller can act on, each with a status, a stable slug, a title and facts.

Problem
├── access         Unauthenticated, TeamHeaderMissing, TeamHeaderMalformed, NotAMember, RoleTooLow, …
├── availability   TooManyAttempts, TooManyUploads, Unavailable, VerificationQueueFull, StorageFull
├── conflicts      ModelPathTaken, UploadIncomplete, …
├── not_found      ModelNotFound, UploadNotFound, …
├── requests       InvalidRequest, MalformedJson, BodyTooLarge, ModelPathRefused, ModelTypeUnknown, …
├── sources        ImportNotFound, LinkRefused, SourceNotFound, SourceRestricted, SourceUnavailable
└── store          SignatureRefused, UrlExpired, LengthWrong, ChecksumWrong, …
"""

from typing import Any

from modelyard.wire.problems.access import *
from modelyard.wire.problems.availability import *
from modelyard.wire.problems.availability import Unavailable
from modelyard.wire.problems.base import InternalError as InternalError
from modelyard.wire.problems.base import Problem as Problem
from modelyard.wire.problems.conflicts import *
from modelyard.wire.problems.not_found import *
from modelyard.wire.problems.requests import *
from modelyard.wire.problems.sources import *
from modelyard.wire.problems.store import *


def list_problem_classes() -> list[type[Problem]]:
    """Return all problem classes, without ``Problem`` itself, in the order of the imports above."""
    return Problem.__subclasses__()


def parse_problem(status: int, body: Any) -> Problem:
    """Build the problem of an error response; of an unknown kind, ``Unavailable`` (502 to 504) or ``InternalError``."""
    if not isinstance(body, dict):
        body = {}
    slug = str(body.get("type", "")).removeprefix("/problems/")
    detail = str(body.get("detail") or body.get("error_message") or f"The server answered {status}.")
    standard = {"type", "title", "status", "detail", "error_message", "error_code"}
    facts = {name: value for name, value in body.items() if name not in standard}
    kind = next((kind for kind in list_problem_classes() if kind.slug == slug and kind is not InternalError), None)
    if kind is None:
        kind = Unavailable if status in (502, 503, 504) else InternalError
        facts["http_status"] = status
    return kind(detail, **facts)
