"""Every failure that a caller can act on: its status, its stable slug, its title and its facts.

Problem
├── who you are        Unauthenticated, TeamHeaderMissing, TeamHeaderMalformed, NotAMember, RoleTooLow, …
├── what you sent      InvalidRequest, MalformedJson, BodyTooLarge, ModelPathRefused, NotAModelFile, …
├── what is not there  ModelNotFound, UploadNotFound, …
├── what is in the way ModelPathTaken, UploadIncomplete, …
└── a bad day          TooManyAttempts, Unavailable, StorageFull
"""

from typing import Any, ClassVar


class Problem(Exception):
    """A failure with a name. Sent as RFC 9457, raised again by the client as the same class."""

    status: ClassVar[int] = 500
    slug: ClassVar[str] = "internal-error"
    title: ClassVar[str] = "The registry made a mistake"

    def __init__(self, detail: str, **facts: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.facts = facts

    def as_json(self, request_id: str | None = None) -> dict[str, Any]:
        """The RFC 9457 body, with the source API's ``error_message`` and our ``error_code`` beside it."""
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
        # A fact stands beside the standard members, never in their place.
        return body | {name: value for name, value in self.facts.items() if name not in body}


class InternalError(Problem):
    """A bug of ours: it is in the log under its request id, and nothing of it is shown."""


# Who you are and what you may do.


class Unauthenticated(Problem):
    """The token is missing, unknown, revoked or expired."""

    status, slug, title = 401, "unauthenticated", "You are not signed in"


class SignInRefused(Problem):
    """The e-mail address and the password do not belong together."""

    status, slug, title = 401, "sign-in-refused", "Sign-in refused"


class SessionEnded(Problem):
    """The refresh token is unknown, used, expired or revoked: sign in again."""

    status, slug, title = 401, "session-ended", "Your session has ended"


class TwoCredentials(Problem):
    """One request carried more than one credential."""

    status, slug, title = 400, "two-credentials", "Send one credential"


class TeamHeaderMissing(Problem):
    """A user's token needs ``X-Team-ID`` to say which team is meant."""

    status, slug, title = 400, "team-header-missing", "The X-Team-ID header is missing"


class TeamHeaderMalformed(Problem):
    """``X-Team-ID`` is not a UUID."""

    status, slug, title = 400, "team-header-malformed", "The X-Team-ID header is not a UUID"


class NotAMember(Problem):
    """The caller is no member of this team, whether it exists or not."""

    status, slug, title = 403, "not-a-member", "You are not a member of this team"


class RoleTooLow(Problem):
    """The caller is known and a member, but this needs a higher role."""

    status, slug, title = 403, "role-too-low", "Your role does not allow this"


class KeyNotAllowed(Problem):
    """This kind of key may not do this, whoever holds it."""

    status, slug, title = 403, "key-not-allowed", "This key may not do this"


class OwnRole(Problem):
    """Nobody changes their own role."""

    status, slug, title = 403, "own-role", "You cannot change your own role"


class OwnerStays(Problem):
    """The owner cannot be removed or demoted; transfer the team first."""

    status, slug, title = 403, "owner-stays", "The owner stays until the team is transferred"


class CrossSiteRefused(Problem):
    """A cookie session was used from another origin or without its header."""

    status, slug, title = 403, "cross-site-refused", "Cross-site request refused"


class QuotaExceeded(Problem):
    """The team's quota does not hold this many bytes."""

    status, slug, title = 403, "quota-exceeded", "The team's quota is used up"


class HostNotAllowed(Problem):
    """The Host header names nothing that this registry answers to."""

    status, slug, title = 400, "host-not-allowed", "This host name is not served here"


# What you sent.


class MalformedJson(Problem):
    """The body is no JSON: broken, a duplicate key, NaN, too deep, or not UTF-8."""

    status, slug, title = 400, "malformed-json", "The body is not valid JSON"


class MalformedRequest(Problem):
    """The HTTP request itself cannot be understood."""

    status, slug, title = 400, "malformed-request", "The request cannot be understood"


class CredentialIdMalformed(Problem):
    """The path takes a credential's id, and got something else: a raw key or its prefix, perhaps."""

    status, slug, title = 400, "credential-id-malformed", "This is not a credential's id"


class RouteNotFound(Problem):
    """No route has this path."""

    status, slug, title = 404, "route-not-found", "There is nothing at this address"


class MethodNotAllowed(Problem):
    """The path exists, but not with this method."""

    status, slug, title = 405, "method-not-allowed", "This method is not allowed here"


class RequestStalled(Problem):
    """The body of a small request did not come within half a minute."""

    status, slug, title = 408, "request-stalled", "The request stopped half-way"


class VersionStale(Problem):
    """``If-Match`` names an older version of the record: read it again."""

    status, slug, title = 412, "version-stale", "The record has changed"


class BodyTooLarge(Problem):
    """A JSON body may have 1 MiB."""

    status, slug, title = 413, "body-too-large", "The body is too large"


class UnsupportedMediaType(Problem):
    """Bodies are ``application/json``."""

    status, slug, title = 415, "unsupported-media-type", "Send application/json"


class InvalidRequest(Problem):
    """Fields break their rules; ``errors`` lists every one with its field."""

    status, slug, title = 422, "invalid-request", "Some fields are not valid"


class ModelPathRefused(Problem):
    """The path or type would be unsafe or ambiguous on some machine."""

    status, slug, title = 422, "model-path-refused", "This model path is refused"


class NotAModelFile(Problem):
    """The content is not what its extension promises."""

    status, slug, title = 422, "not-a-model-file", "This is not a model file"


class HashMismatch(Problem):
    """The stored bytes have another SHA-256 than declared."""

    status, slug, title = 422, "hash-mismatch", "The hash does not match the bytes"


class SizeMismatch(Problem):
    """Two declared sizes differ."""

    status, slug, title = 422, "size-mismatch", "The declared sizes differ"


class PasswordRefused(Problem):
    """The current password is wrong."""

    status, slug, title = 422, "password-refused", "The current password is wrong"


# What is not there, or not yours: the two look the same.


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
    """The team is gone."""

    status, slug, title = 404, "team-not-found", "There is no such team"


class MemberNotFound(Problem):
    """The team has no such member."""

    status, slug, title = 404, "member-not-found", "There is no such member"


class InvitationNotFound(Problem):
    """The invitation is unknown, used, withdrawn or expired."""

    status, slug, title = 404, "invitation-not-found", "There is no such invitation"


class CredentialNotFound(Problem):
    """The team has no such credential, or it is not yours to see."""

    status, slug, title = 404, "credential-not-found", "There is no such credential"


class PairingNotFound(Problem):
    """The code is unknown, used or expired: start again on the device."""

    status, slug, title = 404, "pairing-not-found", "There is no such pairing"


class AccountNotFound(Problem):
    """No account has this e-mail address; only the operator is ever told."""

    status, slug, title = 404, "account-not-found", "There is no such account"


class PasswordResetNotFound(Problem):
    """The reset link is unknown, used or expired: ask the operator for a new one."""

    status, slug, title = 404, "password-reset-not-found", "There is no such password reset"


# What is in the way.


class ModelPathTaken(Problem):
    """The team has other bytes at this path; facts: both hashes, the holder's id, a free path."""

    status, slug, title = 409, "model-path-taken", "This model path is taken"


class UploadIncomplete(Problem):
    """The bytes at the storage key are missing or not as many as declared; fact: ``stored``."""

    status, slug, title = 409, "upload-incomplete", "The upload is not complete"


class UploadUsed(Problem):
    """A storage key registers once; fact: the id of the model that it became."""

    status, slug, title = 409, "upload-used", "This upload is a model already"


class PartsWrong(Problem):
    """The listed parts are not the parts that the store holds."""

    status, slug, title = 409, "parts-wrong", "The parts do not make this file"


class ModelNotVerified(Problem):
    """Downloads wait until the registry has read the bytes; fact: ``verification``."""

    status, slug, title = 409, "model-not-verified", "The model is not verified"


class ModelDamaged(Problem):
    """The stored bytes are wrong: push the same file again to heal the record."""

    status, slug, title = 409, "model-damaged", "The model's bytes are damaged"


class AgentUnknown(Problem):
    """The registry has not heard of this machine by this key yet: send a heartbeat first."""

    status, slug, title = 409, "agent-unknown", "The machine is not known yet"


class AgentTaken(Problem):
    """Another machine, with a key of its own, calls itself so: give this one another name."""

    status, slug, title = 409, "agent-taken", "Another machine has this name"


class RemovalNotWaiting(Problem):
    """The machine has no removal that waits for an approval."""

    status, slug, title = 409, "removal-not-waiting", "No removal waits"


class AlreadyMember(Problem):
    """This person is a member already."""

    status, slug, title = 409, "already-member", "Already a member"


class AlreadyInvited(Problem):
    """An open invitation for this address exists."""

    status, slug, title = 409, "already-invited", "Already invited"


class AccountExists(Problem):
    """The address has an account: sign in, then accept."""

    status, slug, title = 409, "account-exists", "This address has an account"


# What the embedded store answers.


class SignatureRefused(Problem):
    """The URL, its method or a signed header was changed."""

    status, slug, title = 403, "signature-refused", "The signature does not match"


class UrlExpired(Problem):
    """The signed URL is too old: ask for a fresh one."""

    status, slug, title = 403, "url-expired", "This URL has expired"


class LengthRequired(Problem):
    """An upload says its length first."""

    status, slug, title = 411, "length-required", "Content-Length is missing"


class LengthWrong(Problem):
    """The body is longer or shorter than signed; nothing was kept."""

    status, slug, title = 400, "length-wrong", "The body has another length than signed"


class ChecksumWrong(Problem):
    """The body has another SHA-256 than signed; nothing was kept."""

    status, slug, title = 400, "checksum-wrong", "The body has another checksum than signed"


class KeyTaken(Problem):
    """The key is written already; a key is written once."""

    status, slug, title = 412, "key-taken", "This key is written already"


class PartBusy(Problem):
    """Somebody is writing this part right now."""

    status, slug, title = 409, "part-busy", "This part is being written"


class UploadStalled(Problem):
    """No byte of the body came for a minute; nothing was kept."""

    status, slug, title = 408, "upload-stalled", "The upload stopped"


class BlobNotFound(Problem):
    """There are no bytes under this key."""

    status, slug, title = 404, "blob-not-found", "There are no such bytes"


class RangeNotSatisfiable(Problem):
    """The range lies outside the file."""

    status, slug, title = 416, "range-not-satisfiable", "The range lies outside the file"


# A bad day.


class TooManyAttempts(Problem):
    """Too many failures from here; fact: ``retry_after`` in seconds."""

    status, slug, title = 429, "too-many-attempts", "Too many attempts"


class Unavailable(Problem):
    """A part that the registry needs does not answer; fact: ``retry_after`` in seconds."""

    status, slug, title = 503, "unavailable", "The registry cannot answer just now"


class StorageFull(Problem):
    """The disk behind the registry has no room; what was acknowledged is safe."""

    status, slug, title = 507, "storage-full", "The registry's disk is full"


def every_problem() -> list[type[Problem]]:
    """All kinds, in the order in which they stand here."""
    return Problem.__subclasses__()


def from_json(status: int, body: Any) -> Problem:
    """The problem that an error answer speaks of; a plain one for a body that is none of ours (a proxy's, say)."""
    if not isinstance(body, dict):
        body = {}
    slug = str(body.get("type", "")).removeprefix("/problems/")
    detail = str(body.get("detail") or body.get("error_message") or f"The server answered {status}.")
    standard = {"type", "title", "status", "detail", "error_message", "error_code"}
    facts = {name: value for name, value in body.items() if name not in standard}
    kind = next((kind for kind in every_problem() if kind.slug == slug and kind is not InternalError), None)
    if kind is None:
        kind = Unavailable if status in (502, 503, 504) else InternalError
        facts["http_status"] = status
    return kind(detail, **facts)
