"""The capabilities that a probe saw in the store of this process."""

import logging

from modelyard.server.storage.blob_store import BlobStore, Capabilities, StoreError

log = logging.getLogger("modelyard.storage")


class StoreCapabilities:
    """The result of the capability probe of one store; None until a probe could be completed."""

    def __init__(self) -> None:
        self.probed: Capabilities | None = None

    @property
    def needs_copies(self) -> bool:
        """Return whether a presigned upload URL may still overwrite its key.

        Then verified bytes are copied to a second key, and the copy is served. True until the store was probed.
        """
        return self.probed is None or not self.probed.refuses_overwrite

    def ensure_probed(self, store: BlobStore) -> bool:
        """Probe the store unless an earlier probe succeeded; return False if it still cannot be probed.

        A probe writes and deletes objects. Its result is logged and kept; a store that is full or does not answer is a
        warning in the log, and no error is raised.
        """
        if self.probed is not None:
            return True
        try:
            self.probed = store.probe()
        except StoreError as error:
            log.warning("store could not be probed", extra={"why": error.detail})
            return False
        level = logging.DEBUG if self.probed.enforces_all else logging.WARNING
        log.log(level, "store probed", extra=vars(self.probed))
        return True
