"""API problems: failures that a caller can act on, each with a status, a stable slug, a title and facts.

Problem
├── authentication     Unauthenticated, TeamHeaderMissing, TeamHeaderMalformed, NotAMember, RoleTooLow, …
├── invalid requests   InvalidRequest, MalformedJson, BodyTooLarge, ModelPathRefused, NotAModelFile, …
├── not found          ModelNotFound, UploadNotFound, …
├── conflicts          ModelPathTaken, UploadIncomplete, …
└── load, availability TooManyAttempts, TooManyUploads, Unavailable, VerificationQueueFull, StorageFull
"""

from typing import Any, ClassVar, Self


class Problem(Exception):
    """A failure that a caller can act on. Sent as RFC 9457; the client raises the same class again."""

    status: ClassVar[int] = 500
    slug: ClassVar[str] = "internal-error"
    title: ClassVar[str] = "Internal error of the registry"

    def __init__(self, detail: str, **facts: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.facts = facts

    def to_json(self, request_id: str | None = None) -> dict[str, Any]:
        """Return the RFC 9457 body, with the source API's ``error_message`` and with ``error_code`` added."""
        body: dict[str, Any] = {
            "type": f"/problems/{self.slug}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "error_message": self.detail,
            "error_code": self.slug.replace("-", "_"),
        }
        if request_id is not None:
            body["request_id"] = request_id
        # Facts must not overwrite the standard members.
        return body | {name: value for name, value in self.facts.items() if name not in body}


class InternalError(Problem):
    """An unexpected error. Details are only in the server's log, under the request id."""


# Authentication and permissions.


class Unauthenticated(Problem):
    """The token is missing, unknown, revoked or expired."""

    status, slug, title = 401, "unauthenticated", "You are not signed in"


class SignInRefused(Problem):
    """The e-mail address or the password is wrong."""

    status, slug, title = 401, "sign-in-refused", "Sign-in refused"


class SessionEnded(Problem):
    """The refresh token is unknown, used, expired or revoked. Sign in again."""

    status, slug, title = 401, "session-ended", "Your session has ended"


class TwoCredentials(Problem):
    """One request carried more than one credential."""

    status, slug, title = 400, "two-credentials", "Send one credential"


class TeamHeaderMissing(Problem):
    """A request with a user's token must select a team with ``X-Team-ID``."""

    status, slug, title = 400, "team-header-missing", "The X-Team-ID header is missing"


class TeamHeaderMalformed(Problem):
    """``X-Team-ID`` is not a UUID."""

    status, slug, title = 400, "team-header-malformed", "The X-Team-ID header is not a UUID"


class NotAMember(Problem):
    """The caller is not a member of this team. The same for a team that does not exist."""

    status, slug, title = 403, "not-a-member", "You are not a member of this team"


class RoleTooLow(Problem):
    """The caller is a member of the team, but the operation requires a higher role."""

    status, slug, title = 403, "role-too-low", "Your role does not allow this"


class KeyNotAllowed(Problem):
    """Keys of this kind do not permit the operation."""

    status, slug, title = 403, "key-not-allowed", "This key may not do this"


class OwnRole(Problem):
    """Users cannot change their own role."""

    status, slug, title = 403, "own-role", "You cannot change your own role"


class OwnerStays(Problem):
    """The owner cannot be removed or get a lower role. Transfer the team first."""

    status, slug, title = 403, "owner-stays", "The owner stays until the team is transferred"


class CrossSiteRefused(Problem):
    """A cookie session was used from another origin or without its header."""

    status, slug, title = 403, "cross-site-refused", "Cross-site request refused"


class QuotaExceeded(Problem):
    """The upload would exceed the team's storage quota."""

    status, slug, title = 403, "quota-exceeded", "The team's quota is used up"


class TooManyMachines(Problem):
    """The team has reached its maximum number of machines. Facts: ``machines``, ``max_machines``."""

    status, slug, title = 403, "too-many-machines", "The team has too many machines"


class HostNotAllowed(Problem):
    """The Host header is not one of the registry's host names."""

    status, slug, title = 400, "host-not-allowed", "This host name is not served here"


# Invalid requests.


class MalformedJson(Problem):
    """The body is not valid JSON, has duplicate keys or NaN, is nested too deeply, or is not UTF-8."""

    status, slug, title = 400, "malformed-json", "The body is not valid JSON"


class MalformedRequest(Problem):
    """The HTTP request itself is invalid."""

    status, slug, title = 400, "malformed-request", "The request cannot be understood"


class CredentialIdMalformed(Problem):
    """The path has something other than a credential's id, for instance a raw key or its prefix."""

    status, slug, title = 400, "credential-id-malformed", "This is not a credential's id"


class RouteNotFound(Problem):
    """No route has this path."""

    status, slug, title = 404, "route-not-found", "There is no such route"


class MethodNotAllowed(Problem):
    """The path does not support this method."""

    status, slug, title = 405, "method-not-allowed", "This method is not allowed here"


class RequestStalled(Problem):
    """The body of a small request did not arrive within 30 seconds."""

    status, slug, title = 408, "request-stalled", "The request body did not arrive in time"


class RecordStale(Problem):
    """The record has changed since the version in ``If-Match``. Read it again."""

    status, slug, title = 412, "record-stale", "The record has changed"


class BodyTooLarge(Problem):
    """The JSON body exceeds 1 MiB, or 16 KiB on routes without sign-in."""

    status, slug, title = 413, "body-too-large", "The body is too large"


class UnsupportedMediaType(Problem):
    """The body is not ``application/json``."""

    status, slug, title = 415, "unsupported-media-type", "Send application/json"


class InvalidRequest(Problem):
    """Some fields are invalid. ``errors`` lists all of them."""

    status, slug, title = 422, "invalid-request", "Some fields are not valid"

    @classmethod
    def for_field(cls, field: str, message: str) -> Self:
        """Build the problem for one invalid field; ``message`` is a sentence without the final period."""
        return cls(f"Not valid: '{field}'. {message}.", errors=[{"field": field, "message": message}])


class ModelPathRefused(Problem):
    """The model path or type would be unsafe or ambiguous on some platform."""

    status, slug, title = 422, "model-path-refused", "This model path is refused"


class NotAModelFile(Problem):
    """The content does not match the format of the file extension, or is unsafe."""

    status, slug, title = 422, "not-a-model-file", "This is not a model file"


class HashMismatch(Problem):
    """The SHA-256 of the stored content differs from the declared one."""

    status, slug, title = 422, "hash-mismatch", "The hash does not match the file"


class SizeMismatch(Problem):
    """The declared sizes differ between requests."""

    status, slug, title = 422, "size-mismatch", "The declared sizes differ"


class PasswordRefused(Problem):
    """The current password is wrong."""

    status, slug, title = 422, "password-refused", "The current password is wrong"


# Not found. The same for objects of other teams.


class ModelNotFound(Problem):
    """No model of this team has this id."""

    status, slug, title = 404, "model-not-found", "There is no such model"


class AgentNotFound(Problem):
    """No machine of this team has this name."""

    status, slug, title = 404, "agent-not-found", "There is no such machine"


class UploadNotFound(Problem):
    """No upload of this team has this storage key or upload id."""

    status, slug, title = 404, "upload-not-found", "There is no such upload"


class TeamNotFound(Problem):
    """The team does not exist, or was deleted."""

    status, slug, title = 404, "team-not-found", "There is no such team"


class MemberNotFound(Problem):
    """The team has no such member."""

    status, slug, title = 404, "member-not-found", "There is no such member"


class InvitationNotFound(Problem):
    """The invitation is unknown, used, withdrawn or expired."""

    status, slug, title = 404, "invitation-not-found", "There is no such invitation"


class CredentialNotFound(Problem):
    """The team has no such credential, or the caller may not see it."""

    status, slug, title = 404, "credential-not-found", "There is no such credential"


class PairingNotFound(Problem):
    """The pairing code is unknown, used or expired. Start again on the device."""

    status, slug, title = 404, "pairing-not-found", "There is no such pairing"


class AccountNotFound(Problem):
    """No account has this e-mail address. Only reported to operators."""

    status, slug, title = 404, "account-not-found", "There is no such account"


class PasswordResetNotFound(Problem):
    """The reset link is unknown, used or expired. Ask the operator for a new one."""

    status, slug, title = 404, "password-reset-not-found", "There is no such password reset"


# Conflicts.


class ModelPathTaken(Problem):
    """Another model of the team uses this path. Facts: both hashes, the id of that model, a free path."""

    status, slug, title = 409, "model-path-taken", "This model path is taken"


class UploadIncomplete(Problem):
    """The uploaded file is missing, or its size differs from the declared one. Fact: ``stored`` (its size)."""

    status, slug, title = 409, "upload-incomplete", "The upload is not complete"


class UploadUsed(Problem):
    """The upload was registered as a model before. Fact: the id of that model."""

    status, slug, title = 409, "upload-used", "This upload is registered already"


class PartsWrong(Problem):
    """The listed parts differ from the parts in the store."""

    status, slug, title = 409, "parts-wrong", "The listed parts do not match this upload"


class ModelNotVerified(Problem):
    """The content cannot be downloaded before it is verified. Fact: ``verification``."""

    status, slug, title = 409, "model-not-verified", "The model is not verified"


class ModelDamaged(Problem):
    """The stored content is corrupt or missing. Push the same file again to repair the model."""

    status, slug, title = 409, "model-damaged", "The model's bytes are damaged"


class AgentUnknown(Problem):
    """The registry has no machine with this name for this key yet. Send a heartbeat first."""

    status, slug, title = 409, "agent-unknown", "The machine is not known yet"


class AgentTaken(Problem):
    """Another machine with another key uses this name. Give this machine another name."""

    status, slug, title = 409, "agent-taken", "Another machine has this name"


class RemovalNotWaiting(Problem):
    """The machine has no removal that waits for approval."""

    status, slug, title = 409, "removal-not-waiting", "No removal waits"


class KeysWouldStop(Problem):
    """The user is responsible for keys that require an admin. Facts: ``key_list`` (at most 100), ``key_count``."""

    status, slug, title = 409, "keys-would-stop", "Keys would stop working"


class KeyNotRotatable(Problem):
    """The key has expired or was revoked, or belongs to a paired device. Create a new key, or pair the device again."""

    status, slug, title = 409, "key-not-rotatable", "This key cannot be rotated"


class AlreadyMember(Problem):
    """The user is a member of the team already."""

    status, slug, title = 409, "already-member", "Already a member"


class AlreadyInvited(Problem):
    """The team has an open invitation for this e-mail address."""

    status, slug, title = 409, "already-invited", "Already invited"


class AccountExists(Problem):
    """The e-mail address has an account. Sign in, then accept the invitation."""

    status, slug, title = 409, "account-exists", "This address has an account"


# The embedded object store.


class SignatureRefused(Problem):
    """The URL, the method or a signed header differs from what was signed."""

    status, slug, title = 403, "signature-refused", "The signature does not match"


class UrlExpired(Problem):
    """The presigned URL has expired. Request a new one."""

    status, slug, title = 403, "url-expired", "This URL has expired"


class LengthRequired(Problem):
    """The upload has no ``Content-Length`` header."""

    status, slug, title = 411, "length-required", "Content-Length is missing"


class LengthWrong(Problem):
    """The length of the body differs from the signed one. Nothing was stored."""

    status, slug, title = 400, "length-wrong", "The body has another length than signed"


class ChecksumWrong(Problem):
    """The SHA-256 of the body differs from the signed one. Nothing was stored."""

    status, slug, title = 400, "checksum-wrong", "The body has another checksum than signed"


class KeyTaken(Problem):
    """The storage key exists already. A key can be written only once."""

    status, slug, title = 412, "key-taken", "This key is written already"


class PartBusy(Problem):
    """Another request is writing this part at the moment."""

    status, slug, title = 409, "part-busy", "This part is being written"


class UploadStalled(Problem):
    """No byte of the body arrived for a minute. Nothing was stored."""

    status, slug, title = 408, "upload-stalled", "The upload stopped"


class BlobNotFound(Problem):
    """There is no object with this key."""

    status, slug, title = 404, "blob-not-found", "There are no such bytes"


class RangeNotSatisfiable(Problem):
    """The requested range lies outside the file."""

    status, slug, title = 416, "range-not-satisfiable", "The range lies outside the file"


# Load and availability.


class TooManyAttempts(Problem):
    """Too many failed attempts from this address or for this account. Fact: ``retry_after`` in seconds."""

    status, slug, title = 429, "too-many-attempts", "Too many attempts"


class TooManyUploads(Problem):
    """The team has too many unfinished uploads. Facts: ``open_uploads``, and ``retry_after`` in seconds."""

    status, slug, title = 429, "too-many-uploads", "Too many unfinished uploads"


class Unavailable(Problem):
    """A service that the registry needs is unavailable. Fact: ``retry_after`` in seconds."""

    status, slug, title = 503, "unavailable", "The registry cannot answer just now"


class VerificationQueueFull(Problem):
    """Too many files of the team wait for verification. Facts: ``waiting``, and ``retry_after`` in seconds."""

    status, slug, title = 503, "verification-queue-full", "Too many files wait to be verified"


class StorageFull(Problem):
    """The registry's disk is full. Data that was acknowledged before is safe."""

    status, slug, title = 507, "storage-full", "The registry's disk is full"


def list_problem_classes() -> list[type[Problem]]:
    """Return all problem classes, without ``Problem`` itself, in the order of this module."""
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
