"""What the store was seen to enforce, so far: it decides whether verified bytes are served from where they were put."""

import logging

from modelyard.server.storage.blob_store import BlobStore, Honesty, StoreError

log = logging.getLogger("modelyard.trust")


class Trust:
    """Begins knowing nothing. A store that could not be tried, being full or away, is not trusted until it was."""

    def __init__(self) -> None:
        self.honesty: Honesty | None = None

    @property
    def needs_copies(self) -> bool:
        """Whether somebody may yet write over a key that was presigned for them."""
        return self.honesty is None or not self.honesty.refuses_overwrite

    def renew(self, store: BlobStore) -> bool:
        """Try the store, if it was not tried yet; False if it still could not be."""
        if self.honesty is not None:
            return True
        try:
            self.honesty = store.probe()
        except StoreError as error:
            log.warning("the store could not be tried", extra={"why": error.detail})
            return False
        level = logging.INFO if self.honesty.is_honest else logging.WARNING
        log.log(level, "store tried", extra=vars(self.honesty))
        return True
