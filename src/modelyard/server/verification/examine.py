"""Examination of one version of a stored object: both digests, and the checks of its content."""

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import PurePosixPath
from typing import Any
from uuid import UUID

from blake3 import blake3

from modelyard.comfyui.model_files.readers import BytesReader, Reader
from modelyard.server.inspection.folder_files import inspect_folder_file
from modelyard.server.inspection.inspector import build_refused_metadata, inspect_file
from modelyard.server.inspection.pickles import PickleRule
from modelyard.server.inspection.sandbox import SandboxFailed, log_failure
from modelyard.server.storage.blob_store import (
    BlobStore,
    Digest,
    NoSuchKey,
    StoredObject,
    StoreError,
    StoreUnavailable,
    VersionChanged,
)
from modelyard.server.storage.byte_ranges import ObjectRangeReader, check_store_answers
from modelyard.server.storage.digest import RANGE_BYTES, ObjectHasher, ReadStopped
from modelyard.server.uploads.content_hashes import ContentHasher, ContentHashes, compute_autov1
from modelyard.server.uploads.tables import BlobRow
from modelyard.wire.folders.names import FileKind
from modelyard.wire.problems import NotAModelFile

DIGEST_WAIT_SECONDS = 5.0
# An object of up to this size is read with one request, for all hashes and checks. Of a larger one, the hashes that
# verification does not need are left to ``hash_completion``, so that its model is available sooner.
SMALL_BYTES = RANGE_BYTES
log = logging.getLogger("modelyard.verification")
GONE = "The bytes are gone from the store."


class InspectionFailed(Exception):
    """The inspection itself failed, which is no result about the content; the cause is logged."""


@dataclass(frozen=True)
class Examination:
    """The result of an examination.

    ``error`` is None where the object is right. ``facts`` has the metadata of each model by its id; of refused
    content, the facts of the refusal; ``folder_facts`` has those of files in folders by their kind.
    ``version`` is the version of the object that was read, and ``autov1`` its AutoV1 hash, see ``wire.hashes``;
    ``hashes`` are all hashes of a small object. ``pickle_rule`` is what the result depends on; None if the content is
    no pickle.
    """

    digest: Digest | None
    error: str | None
    facts: Mapping[UUID, dict[str, Any]] = field(default_factory=dict)
    version: str | None = None
    autov1: str | None = None
    hashes: ContentHashes | None = None
    pickle_rule: PickleRule | None = None
    folder_facts: Mapping[str, dict[str, Any] | None] = field(default_factory=dict)


@dataclass(frozen=True)
class ModelFiles:
    """What the content of a blob is checked for: the path of each of its models by id, and what applies to a pickle.

    ``folder_paths`` has the path of a file in a folder that has this content, for each kind of such files.
    """

    paths: Mapping[UUID, str]
    pickle_rule: PickleRule = "scan"
    folder_paths: Mapping[FileKind, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Content:
    """The content of an object: a reader, its digest, and all hashes of it if it is small."""

    reader: Reader
    digest: Digest
    hashes: ContentHashes | None = None


def examine_object(
    store: BlobStore, blob: BlobRow, key: str, files: ModelFiles, on_begin: Callable[[ObjectHasher], None]
) -> Examination:
    """Check that the object at ``key`` exists, has the blob's declared size and hash, and is a valid model file.

    The extensions of its models' paths say which format it must have. A large object is hashed here only if the store
    has no digest within ``DIGEST_WAIT_SECONDS``; ``on_begin`` gets the hasher in either case, once the size is right.
    What is wrong with the object is returned as ``error``, not raised. Writes nothing; a failed inspection is logged.

    Raises:
        StoreUnavailable: the store does not answer, or the object changed while it was read.
        InspectionFailed: see there.
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
        content = _load_content(store, key, stored, hasher)
        digest = content.digest
        if digest.sha256 != blob.sha256:
            return Examination(digest, f"The bytes have sha256:{digest.sha256}, not sha256:{blob.sha256} as declared.")
        extensions = {id_: PurePosixPath(name).suffix for id_, name in files.paths.items()}
        facts = {
            extension: asdict(
                inspect_file(content.reader, f"model{extension}", files.pickle_rule, hasher.raise_if_stopped)
            )
            for extension in set(extensions.values())
        }
        facts_by_id = {id_: facts[name] for id_, name in extensions.items()}
        folder_facts = _examine_for_folders(content.reader, files, hasher)
        autov1 = content.hashes.autov1 if content.hashes else compute_autov1(content.reader)
        rule = _find_used_rule(files, [*facts_by_id.values(), *filter(None, folder_facts.values())])
        return Examination(digest, None, facts_by_id, stored.version, autov1, content.hashes, rule, folder_facts)
    except NotAModelFile as refusal:
        refused = {id_: build_refused_metadata(name, refusal.facts) for id_, name in files.paths.items()}
        in_folders = {
            str(kind): build_refused_metadata(path, refusal.facts) for kind, path in files.folder_paths.items()
        }
        rule = _find_used_rule(files, [*refused.values(), *in_folders.values()])
        return Examination(None, refusal.detail, refused, pickle_rule=rule, folder_facts=in_folders)
    except VersionChanged as error:
        raise StoreUnavailable("The object changed while it was read.") from error
    except NoSuchKey:
        return examine_missing_object(store)
    except (StoreError, ReadStopped):
        raise
    except SandboxFailed as failed:
        log_failure(failed, blob=str(blob.id))
        raise InspectionFailed from failed
    except Exception as error:  # a defect of a validator
        log.exception("the inspection of a file failed", extra={"blob": str(blob.id)})
        raise InspectionFailed from error


def _examine_for_folders(reader: Reader, files: ModelFiles, hasher: ObjectHasher) -> dict[str, dict[str, Any] | None]:
    """Check content as each kind of file of a folder that it is; return the metadata of model files by kind.

    Raises:
        NotAModelFile, ReadStopped, StoreUnavailable: see ``examine_object``.
    """
    found = {
        str(kind): inspect_folder_file(reader, path, files.pickle_rule, hasher.raise_if_stopped)
        for kind, path in files.folder_paths.items()
    }
    return {kind: None if metadata is None else asdict(metadata) for kind, metadata in found.items()}


def _find_used_rule(files: ModelFiles, facts: Iterable[dict[str, Any]]) -> PickleRule | None:
    """Return the rule for pickles if any of these metadata is that of one."""
    return files.pickle_rule if any(each["format"] == "pickle" for each in facts) else None


def _load_content(store: BlobStore, key: str, stored: StoredObject, hasher: ObjectHasher) -> _Content:
    """Read and hash a small object; of a large one, return the store's digest, or hash it if the store has none.

    Raises:
        NoSuchKey, VersionChanged, StoreUnavailable, ReadStopped: see ``ObjectHasher.compute_digest``.
    """
    if stored.size > SMALL_BYTES:
        digest = stored.digest or store.wait_for_digest(key, DIGEST_WAIT_SECONDS) or hasher.compute_digest()
        return _Content(ObjectRangeReader(store, key, stored.size, stored.version), digest)
    content = b"".join(piece for pieces in hasher.iterate_ranges() for piece in pieces)
    content_hasher = ContentHasher()
    content_hasher.update(content)
    hashes = content_hasher.build_hashes()
    return _Content(BytesReader(content), Digest(hashes.sha256, blake3(content).hexdigest()), hashes)


def examine_missing_object(store: BlobStore) -> Examination:
    """Return the result for an object that is not in the store.

    Raises:
        StoreUnavailable: the store itself is missing, such as a bucket that was deleted.
    """
    check_store_answers(store)
    return Examination(None, GONE)
