"""Examination of one version of a stored object: both digests, and the checks of its content."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import PurePosixPath
from typing import Any
from uuid import UUID

from modelyard.server.inspection.inspector import build_refused_metadata, inspect_file
from modelyard.server.storage.blob_store import BlobStore, Digest, NoSuchKey, StoreUnavailable, VersionChanged
from modelyard.server.storage.byte_ranges import ObjectRangeReader, check_store_answers
from modelyard.server.storage.digest import ObjectHasher
from modelyard.server.uploads.tables import BlobRow
from modelyard.server.verification.content_hashes import compute_autov1
from modelyard.wire.problems import NotAModelFile

DIGEST_WAIT_SECONDS = 5.0
GONE = "The bytes are gone from the store."


@dataclass(frozen=True)
class Examination:
    """The result of an examination.

    ``error`` is None where the object is right. ``facts`` has the metadata of each model by its id; of refused
    content, the facts of the refusal. ``version`` is the version of the object that was read, and ``autov1`` its AutoV1
    hash, see ``wire.hashes``.
    """

    digest: Digest | None
    error: str | None
    facts: Mapping[UUID, dict[str, Any]] = field(default_factory=dict)
    version: str | None = None
    autov1: str | None = None


def examine_object(
    store: BlobStore, blob: BlobRow, key: str, names: Mapping[UUID, str], on_begin: Callable[[ObjectHasher], None]
) -> Examination:
    """Check that the object at ``key`` exists, has the blob's declared size and hash, and is a valid model file.

    ``names`` are the paths of its models by id; their extensions say which format it must have. It is hashed here only
    if the store has no digest within ``DIGEST_WAIT_SECONDS``; ``on_begin`` gets the hasher in either case, once the
    size is right. What is wrong with the object is returned as ``error``, not raised.

    Raises:
        StoreUnavailable: the store does not answer, or the object changed while it was read.
        ReadStopped: the ``ObjectHasher`` that ``on_begin`` was called with was stopped.
    """
    try:
        stored = store.stat(key)
        if stored is None:
            return examine_missing_object(store)
        if stored.size != blob.size:
            return Examination(None, f"The store holds {stored.size} bytes, not {blob.size} as declared.")
        hasher = ObjectHasher(store, key, stored.size, stored.version)
        on_begin(hasher)
        digest = stored.digest or store.wait_for_digest(key, DIGEST_WAIT_SECONDS) or hasher.compute_digest()
        if digest.sha256 != blob.sha256:
            return Examination(digest, f"The bytes have sha256:{digest.sha256}, not sha256:{blob.sha256} as declared.")
        content = ObjectRangeReader(store, key, stored.size, stored.version)
        # Whether the team accepts pickles was checked when each model was registered.
        extensions = {id_: PurePosixPath(name).suffix for id_, name in names.items()}
        facts = {
            extension: asdict(inspect_file(content, f"model{extension}", "scan", hasher.raise_if_stopped))
            for extension in set(extensions.values())
        }
        facts_by_id = {id_: facts[name] for id_, name in extensions.items()}
        return Examination(digest, None, facts_by_id, stored.version, compute_autov1(content))
    except NotAModelFile as refusal:
        refused = {id_: build_refused_metadata(name, refusal.facts) for id_, name in names.items()}
        return Examination(None, refusal.detail, refused)
    except VersionChanged as error:
        raise StoreUnavailable("The object changed while it was read.") from error
    except NoSuchKey:
        return examine_missing_object(store)


def examine_missing_object(store: BlobStore) -> Examination:
    """Return the result for an object that is not in the store.

    Raises:
        StoreUnavailable: the store itself is missing, such as a bucket that was deleted.
    """
    check_store_answers(store)
    return Examination(None, GONE)
