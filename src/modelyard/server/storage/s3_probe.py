"""Tries out, on keys of its own, what a bucket enforces of what is signed for it."""

import hashlib
import os
import uuid
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING

from modelyard.server.storage.blob_store import (
    Honesty,
    NamedPart,
    PartsWrong,
    SignedRequest,
    StoreError,
    StoreUnavailable,
)
from modelyard.server.storage.s3_errors import refusal_in, store_errors
from modelyard.server.storage.s3_reading import OTHER_STRETCH
from modelyard.server.storage.s3_signing import S3Signer, put_headers

if TYPE_CHECKING:
    from modelyard.server.storage.s3 import S3Store

_BODY = bytes(range(256)) * 8
_OTHER = b"x" * len(_BODY)
_PART = 5 << 20
_LIFE = timedelta(minutes=5)

NOT_REACHED = "The public endpoint cannot be reached from the server; the server's own was tried instead."
MAY_LEAVE_OUT = "A signed header may be left out, so who has an upload URL can write over what is there."
MAY_BE_LONGER = "A body may be longer than was signed."
MAY_CHANGE_CHECKSUM = "A signed checksum may be replaced by another."


def probe(store: "S3Store") -> Honesty:
    """What was seen. Leaves nothing behind; after a crash in the middle, what a sweep of ``probe/`` finds.

    Raises:
        StoreUnavailable: the bucket does not answer, or refuses what it should take.
    """
    trial = _Trial(store)
    try:
        overwrite, wrong_checksum = trial.refuses_overwrite(), trial.refuses_wrong_checksum()
        trial.try_longer_body()
        return Honesty(
            refuses_wrong_checksum=wrong_checksum,
            refuses_overwrite=overwrite,
            refuses_tampered_signature=trial.refuses_tampered_signature(),
            reads_ranges_right=trial.reads_ranges_right(),
            reads_multipart_right=trial.reads_multipart_right(),
            remarks=tuple(trial.remarks),
        )
    finally:
        trial.clean_up()


class _Trial:
    """One probe: the keys that it made, and what it has to say beside yes and no."""

    def __init__(self, store: "S3Store") -> None:
        self.remarks: list[str] = []
        self._store = store
        self._keys: list[str] = []
        self._signer = self._reachable_signer()

    def clean_up(self) -> None:
        for key in self._keys:
            self._store.delete(key)

    def refuses_overwrite(self) -> bool:
        """Whether the same URL writes once, with its condition and without."""
        key = self._new_key()
        first = self._put_request(key, _BODY)
        self._send_what_is_right(first, _BODY)
        replayed = self._sent(first, _OTHER)
        left_out = self._sent(first, _OTHER, without="If-None-Match")
        if left_out:
            self.remarks.append(MAY_LEAVE_OUT)
        return not replayed and not left_out and self._reads(key, _BODY)

    def refuses_wrong_checksum(self) -> bool:
        key = self._new_key()
        request = self._put_request(key, _BODY)
        refuses = not self._sent(request, _OTHER) and self._store.stored(key) is None
        key = self._new_key()
        request = self._put_request(key, _BODY)
        changed = put_headers(len(_OTHER), hashlib.sha256(_OTHER).hexdigest())
        if self._sent(request, _OTHER, headers=changed):
            self.remarks.append(MAY_CHANGE_CHECKSUM)
        return refuses

    def refuses_tampered_signature(self) -> bool:
        """Whether a URL is good for one key, and a signature for what it signs."""
        key, other = self._new_key(), self._new_key()
        request = self._put_request(key, _BODY)
        moved = SignedRequest("PUT", request.url.replace(key, other), request.headers, request.expires_at)
        last = "0" if request.url[-1] != "0" else "1"
        forged = SignedRequest("PUT", request.url[:-1] + last, request.headers, request.expires_at)
        sent = [self._sent(moved, _BODY), self._sent(forged, _BODY)]
        return not any(sent) and self._store.stored(other) is None and self._store.stored(key) is None

    def try_longer_body(self) -> None:
        key = self._new_key()
        signed = put_headers(len(_BODY), None)
        request = self._signer.sign("PUT", self._store.name_of(key), _LIFE, signed)
        if self._sent(request, _BODY + b"x", headers={**signed, "Content-Length": str(len(_BODY) + 1)}):
            self.remarks.append(MAY_BE_LONGER)

    def reads_ranges_right(self) -> bool:
        key = self._new_key()
        self._send_what_is_right(self._put_request(key, _BODY), _BODY)
        request = self._signer.sign("GET", self._store.name_of(key), _LIFE)
        status, body = self._answer(request, b"", {"Range": "bytes=100-1099"})
        return status == 206 and body == _BODY[100:1100] and self._reads(key, _BODY)

    def reads_multipart_right(self) -> bool:
        """Whether two parts, sent in the wrong order, become the file that they were cut from."""
        key, body = self._new_key(), os.urandom(_PART) + b"the end"
        upload = self._store.start(key, len(body), _PART)
        try:
            named = [self._sent_part(key, upload, 2, body[_PART:]), self._sent_part(key, upload, 1, body[:_PART])]
            self._store.finish(key, upload, named[::-1])
        except StoreUnavailable:
            raise
        except StoreError:
            return False
        finally:
            self._store.abort(key, upload)
        return self._reads(key, body)

    def _sent_part(self, key: str, upload: str, number: int, body: bytes) -> NamedPart:
        query = {"partNumber": str(number), "uploadId": upload}
        request = self._signer.sign("PUT", self._store.name_of(key), _LIFE, {"Content-Length": str(len(body))}, query)
        self._send_what_is_right(request, body)
        for part in self._store.parts(key, upload):
            if part.number == number:
                return NamedPart(number, part.etag)
        raise PartsWrong("A part that was taken is not there.", missing=[number])

    def _new_key(self) -> str:
        key = f"probe/{uuid.UUID(int=0)}/{uuid.uuid4()}"
        self._keys.append(key)
        return key

    def _put_request(self, key: str, body: bytes) -> SignedRequest:
        headers = put_headers(len(body), hashlib.sha256(body).hexdigest())
        return self._signer.sign("PUT", self._store.name_of(key), _LIFE, headers)

    def _content(self, key: str) -> bytes:
        return b"".join(self._store.read(key, 0, _PART * 2))

    def _reads(self, key: str, body: bytes) -> bool:
        """Whether what is read is this, and all of it; a store that breaks off is not judged."""
        try:
            return self._content(key) == body
        except StoreUnavailable as error:
            if error.facts.get("code") != OTHER_STRETCH:
                raise
            return False

    def _sent(
        self, request: SignedRequest, body: bytes, *, without: str = "", headers: Mapping[str, str] | None = None
    ) -> bool:
        """Whether the store took it, sent with other headers than were signed."""
        chosen = {name: text for name, text in (headers or request.headers).items() if name != without}
        status, _ = self._answer(request, body, chosen)
        if status >= 500:
            raise StoreUnavailable(f"The bucket failed when it was tried ({status}).")
        return status < 300

    def _send_what_is_right(self, request: SignedRequest, body: bytes) -> None:
        status, answer = self._answer(request, body, request.headers)
        if status != 200:
            code = refusal_in(status, answer).code
            raise StoreUnavailable(f"The bucket refuses what was signed for it ({status} {code}).", code=code)

    def _answer(self, request: SignedRequest, body: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
        with store_errors():
            return self._store.connections.sent(request.method, request.url, headers, body)

    def _reachable_signer(self) -> S3Signer:
        """The signer for clients; where their endpoint is not for this machine, the server's own."""
        connections = self._store.connections
        with store_errors():
            signer, own = connections.public_signer, connections.signer
        if signer is own:
            return own
        request = signer.sign("GET", self._store.name_of(self._new_key()), _LIFE)
        try:
            self._answer(request, b"", {})
        except StoreUnavailable:
            self.remarks.append(NOT_REACHED)
            return own
        return signer
