"""What the bytes are: both digests and the checks of the content, over one version of one object."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any
from uuid import UUID

from modelyard.server.models.content import examine
from modelyard.server.storage.blob_store import BlobStore, Digest, NoSuchKey, OtherVersion, StoreUnavailable
from modelyard.server.storage.digest import Reading
from modelyard.server.storage.stored_bytes import StoredBytes
from modelyard.server.uploads.tables import BlobRow
from modelyard.wire.problems import NotAModelFile

PATIENCE_SECONDS = 5.0
GONE = "The bytes are gone from the store."


@dataclass(frozen=True)
class Finding:
    """What a reading found: the digest of what is there, and either what the file says of itself or what is wrong."""

    digest: Digest | None
    error: str | None
    facts: Mapping[UUID, dict[str, Any]] = field(default_factory=dict)


def find_out(
    store: BlobStore, blob: BlobRow, key: str, names: Mapping[UUID, str], begun: Callable[[Reading], None]
) -> Finding:
    """Read the object at ``key``, and hold it against what the blob claims and what its models' ``names`` promise.

    Raises:
        StoreUnavailable: nobody can tell now. Also when the object changed while it was read.
        Stopped: see ``Reading``, which ``begun`` gets.
    """
    try:
        stored = store.stored(key)
        if stored is None:
            return gone(store)
        if stored.size != blob.size:
            return Finding(None, f"The store holds {stored.size} bytes, not {blob.size} as declared.")
        reading = Reading(store, key, stored.size, stored.version)
        begun(reading)
        digest = stored.digest or store.wait_digest(key, PATIENCE_SECONDS) or reading.digest()
        if digest.sha256 != blob.sha256:
            return Finding(digest, f"The bytes have sha256:{digest.sha256}, not sha256:{blob.sha256} as declared.")
        content = StoredBytes(store, key, stored.size, stored.version)
        # Whether the team lets pickles in was asked when each name was registered.
        return Finding(digest, None, {id_: asdict(examine(content, name, "scan")) for id_, name in names.items()})
    except NotAModelFile as refusal:
        return Finding(None, refusal.detail)
    except OtherVersion as error:
        raise StoreUnavailable("The object changed while it was read.") from error
    except NoSuchKey:
        return gone(store)


def gone(store: BlobStore) -> Finding:
    """That the bytes are gone, if the store is there.

    Raises:
        StoreUnavailable: it is not, and a bucket that is missing has no object either.
    """
    make_sure_of(store)
    return Finding(None, GONE)


def make_sure_of(store: BlobStore) -> None:
    """Ask the store for something that any store can answer, and that needs more than one object.

    Raises:
        StoreUnavailable: it does not answer, or is not there.
    """
    next(iter(store.keys("probe/")), None)
