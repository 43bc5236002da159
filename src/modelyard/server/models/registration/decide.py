"""Decisions of a registration, as pure functions without I/O: is the content right, what is created, which blob."""

from dataclasses import dataclass
from enum import Enum
from typing import Any

from modelyard.server.storage.blob_store import Digest
from modelyard.server.uploads.content_states import ContentState, Pending, Verified
from modelyard.wire import problems


@dataclass(frozen=True)
class UploadedContent:
    """The stored content of an upload; sizes in bytes.

    ``digest`` is None if the store has not hashed the content yet; ``metadata`` is None if its inspection is too
    expensive for a request. Both are then left to verification. ``autov1`` is that of verified content above 1 MiB.
    """

    store_key: str
    size: int
    digest: Digest | None
    version: str | None = None
    metadata: dict[str, Any] | None = None
    autov1: str | None = None

    def build_state(self) -> ContentState:
        """Return the state of the content: verified if the store has hashed it, else pending."""
        return Pending() if self.digest is None else Verified(self.version, self.autov1, self.digest.blake3)

    @property
    def is_verified(self) -> bool:
        """Whether the content was hashed and inspected already."""
        return self.digest is not None and self.metadata is not None


class RegistrationAction(Enum):
    """What a registration does with an existing model."""

    ADD_VERSION = "add version"
    RETURN_EXISTING = "return existing"
    REPAIR = "repair"
    REPLACE_OBJECTS = "replace objects"
    REFUSE_PATH = "refuse path"
    REFUSE_VERSION = "refuse version"


@dataclass(frozen=True)
class ExistingVersion:
    """A version of the model that a registration is about.

    ``was_verified`` and ``was_current``: at any time, also if its content has been found damaged since. ``is_pending``:
    it is the one that becomes current once it is verified. ``is_damaged``: it failed, although all of its content had
    been verified before, in a folder also for other models. ``is_doubtful``: see ``BlobRow.is_doubtful``.
    """

    number: int
    file_hash: str
    file_size: int
    verification: str
    was_verified: bool
    was_current: bool
    is_pending: bool = False
    is_damaged: bool = False
    is_doubtful: bool = False


@dataclass(frozen=True)
class ExistingModel:
    """The model that a registration adds a version to, or else the one at its path.

    ``shown`` is the version that the model's record shows, ``newest`` the one with the highest number outside the
    trash, ``latest_version`` the highest number that any had.
    """

    shown: ExistingVersion
    newest: ExistingVersion
    latest_version: int


@dataclass(frozen=True)
class RequestedContent:
    """The content that a request has for a model; ``file_size`` is None before it is known for certain.

    ``is_new_version``: it names the model that the content is the next version of, and may name the newest version that
    the caller has seen.
    """

    file_hash: str
    file_size: int | None
    is_new_version: bool
    expected_version: int | None = None


@dataclass(frozen=True)
class RegistrationDecision:
    """What a registration does with an existing model; ``version`` is the existing version that it returns or repairs.

    ``needs_change_right``: the caller needs the right to change the model, also to be told why it is refused.
    """

    action: RegistrationAction
    version: int | None = None
    needs_change_right: bool = False


@dataclass(frozen=True)
class ExistingBlob:
    """The team's verified blob of the content that is not doubtful; ``metadata`` is None if no model of it has any."""

    metadata: dict[str, Any] | None


@dataclass(frozen=True)
class BlobDecision:
    """Which blob a version gets, its metadata as far as it is known, and whether the blob has to be verified."""

    use_existing: bool
    metadata: dict[str, Any] | None
    needs_verification: bool


def strip_hash_prefix(file_hash: str) -> str:
    """Return the hex digest of a file hash in the API's form ``sha256:<hex>``."""
    return file_hash.removeprefix("sha256:")


def build_incomplete(stored: int, declared: int) -> problems.UploadIncomplete:
    """Build the problem for an upload without a complete file, of which ``stored`` bytes have arrived."""
    if stored == 0:
        detail = f"None of the {declared} declared bytes of this upload have arrived. Upload the file first."
    elif stored < declared:
        detail = f"Only {stored} of the {declared} declared bytes of this upload have arrived. Upload the rest first."
    else:
        detail = f"All {declared} declared bytes have arrived, but not as one file yet. Complete the upload first."
    return problems.UploadIncomplete(detail, stored=stored, declared=declared)


def check_declared_sizes(presigned: int, registered: int) -> None:
    """Check that presign and registration declare the same size.

    Raises:
        SizeMismatch: they do not.
    """
    if presigned == registered:
        return
    message = f"The upload was presigned for {presigned} bytes, but {registered} are registered."
    raise problems.SizeMismatch(
        f"{message} Register the presigned size, or request a new upload for the other.",
        presigned=presigned,
        registered=registered,
        errors=[{"field": "file_size", "message": message}],
    )


def check_size_of_hash(version: ExistingVersion, requested: RequestedContent) -> None:
    """Check that content with the hash of a version has its size, if the registry has read that content.

    Raises:
        SizeMismatch: it has another.
    """
    if requested.file_size in (None, version.file_size) or not version.was_verified:
        return
    message = f"The content with this hash has {version.file_size} bytes, not {requested.file_size}."
    raise problems.SizeMismatch(
        f"{message} Check the size and the hash of your file.",
        known=version.file_size,
        registered=requested.file_size,
        errors=[{"field": "file_size", "message": message}],
    )


def check_stored_size(stored: int, declared: int) -> None:
    """Check that the complete file in the store has the declared size.

    Raises:
        UploadIncomplete: it has fewer or more bytes.
    """
    if stored == declared:
        return
    difference = f"{declared - stored} fewer" if stored < declared else f"{stored - declared} more"
    raise problems.UploadIncomplete(
        f"The uploaded file has {stored} bytes, {difference} than the declared {declared}. "
        "Request a new upload, and send the whole file.",
        stored=stored,
        declared=declared,
    )


def check_digest(digest: Digest | None, file_hash: str) -> None:
    """Check that the stored content has the declared hash, if the store has hashed it already.

    Raises:
        HashMismatch: it has another.
    """
    if digest is None or f"sha256:{digest.sha256}" == file_hash:
        return
    message = f"The uploaded file has sha256:{digest.sha256}, not {file_hash}."
    raise problems.HashMismatch(
        message,
        stored_hash=f"sha256:{digest.sha256}",
        declared_hash=file_hash,
        errors=[{"field": "file_hash", "message": message}],
    )


def decide_registration(existing: ExistingModel, requested: RequestedContent) -> RegistrationDecision:
    """Return what a registration does with the model that it names, or else the one at its path.

    The newest version of a model that the request names counts as the same registration if it has this hash, even if
    the caller expected an older one: the response to it may have been lost.

    Repairing damaged content needs no right to change the model: stored bytes that were right are right again. A
    repair of a version whose own bytes were wrong needs it if that makes the version current, or verified for the first
    time; so does a push, as the next version, of one that was never current.

    Raises:
        SizeMismatch: see ``check_size_of_hash``.
    """
    candidates = [existing.newest] if requested.is_new_version else [existing.shown, existing.newest]
    for version in candidates:
        if version.file_hash == requested.file_hash:
            check_size_of_hash(version, requested)
            return _decide_on_same_content(version, requested)
    if not requested.is_new_version:
        return RegistrationDecision(RegistrationAction.REFUSE_PATH)
    # The caller may have seen a version that was deleted since, whose number is above the newest one's.
    expected_versions = range(existing.newest.number, existing.latest_version + 1)
    if requested.expected_version is not None and requested.expected_version not in expected_versions:
        return RegistrationDecision(RegistrationAction.REFUSE_VERSION, needs_change_right=True)
    return RegistrationDecision(RegistrationAction.ADD_VERSION, needs_change_right=True)


def _decide_on_same_content(version: ExistingVersion, requested: RequestedContent) -> RegistrationDecision:
    """Return what a registration does with a version that has its content already."""
    if version.verification == "failed":
        replaces_wrong_bytes = not version.is_damaged and (version.is_pending or not version.was_verified)
        is_next_version = requested.is_new_version and not version.was_current
        needs_right = replaces_wrong_bytes or is_next_version
        return RegistrationDecision(RegistrationAction.REPAIR, version.number, needs_change_right=needs_right)
    action = RegistrationAction.REPLACE_OBJECTS if version.is_doubtful else RegistrationAction.RETURN_EXISTING
    return RegistrationDecision(action, version.number)


def decide_blob(
    content: UploadedContent, existing: ExistingBlob | None, *, was_presigned_as_stored: bool
) -> BlobDecision:
    """Return which blob a version gets: the team's existing one if the content is proven to equal it, else a new one.

    The content is proven by its digest, or because presign has answered that the team has it already.

    Raises:
        UploadIncomplete: presign has answered so, but the blob was found damaged or changed since, and nothing was
            uploaded.
    """
    is_proven = was_presigned_as_stored or content.digest is not None
    if existing is not None and is_proven:
        metadata = content.metadata or existing.metadata
        return BlobDecision(use_existing=True, metadata=metadata, needs_verification=metadata is None)
    if was_presigned_as_stored:
        raise build_incomplete(0, content.size)
    return BlobDecision(use_existing=False, metadata=content.metadata, needs_verification=not content.is_verified)
