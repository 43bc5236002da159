"""What the routes of signed URLs need of a store whose URLs this process serves."""

import io
from collections.abc import Callable, Sequence
from typing import Protocol


class BodyWriter(Protocol):
    """A writer of one request body; see ``local.object_writer.ObjectWriter``."""

    def write(self, chunks: Sequence[bytes]) -> None:
        """Append the chunks to the body."""
        ...

    def commit(self) -> str:
        """Publish the bytes and return their etag without quotes; on any error they are discarded."""
        ...

    def discard(self) -> None:
        """Discard the bytes. Idempotent, without effect after ``commit``."""
        ...


class UrlSigner(Protocol):
    """A check of signed URLs; see ``local.signing.Signer``."""

    def check(self, method: str, key: str, raw_query: bytes, now: float) -> dict[str, str]:
        """Return the signed parameters; raises if the URL is not valid at ``now``, in seconds since 1970."""
        ...


class UrlServer(Protocol):
    """A store whose signed URLs this process serves; see ``local.store.LocalStore``."""

    @property
    def signer(self) -> UrlSigner:
        """Return what checks the signed URLs."""
        ...

    @property
    def now(self) -> Callable[[], float]:
        """Return the clock, in seconds since 1970."""
        ...

    def open_whole_writer(self, key: str, size: int, sha256: str | None) -> BodyWriter:
        """Return a writer of a whole file of ``size`` bytes, with this SHA-256 unless that is None."""
        ...

    def open_part_writer(self, key: str, upload: str, number: int) -> BodyWriter:
        """Return a writer of one part of an open upload; numbers begin at 1."""
        ...

    def open_object(self, key: str) -> io.FileIO:
        """Open an object for reading; the caller closes it. Raises ``NoSuchKey``."""
        ...
