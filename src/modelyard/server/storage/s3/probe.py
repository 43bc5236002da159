"""The capability probe of a bucket, on keys of its own."""

import hashlib
import os
import uuid
from collections.abc import Mapping
from datetime import timedelta
from typing import Protocol

from modelyard.server.storage.blob_store import (
    BlobStore,
    Capabilities,
    NamedPart,
    PartsWrong,
    SignedRequest,
    StoreError,
    StoreUnavailable,
)
from modelyard.server.storage.s3.connections import Connections
from modelyard.server.storage.s3.errors import parse_error_response, translate_store_errors
from modelyard.server.storage.s3.range_reads import WRONG_RANGE
from modelyard.server.storage.s3.signing import S3Signer, build_put_headers

_BODY = bytes(range(256)) * 8
_OTHER = b"x" * len(_BODY)
_PART = 5 << 20
_LIFETIME = timedelta(minutes=5)

PUBLIC_ENDPOINT_UNREACHABLE = (
    "The public endpoint cannot be reached from the server; the server's own endpoint was probed instead."
)
HEADER_MAY_BE_OMITTED = "A signed header may be left out, so a holder of an upload URL can overwrite the object."
BODY_MAY_BE_LONGER = "A body may be longer than its signed length."
CHECKSUM_MAY_CHANGE = "A signed checksum may be replaced by another."


class ProbedStore(BlobStore, Protocol):
    """What the probe uses in addition to the methods of every store."""

    connections: Connections

    def get_object_name(self, key: str) -> str:
        """Return the object's name in the bucket."""
        ...


def probe(store: ProbedStore) -> Capabilities:
    """Test whether the bucket refuses wrong checksums, overwrites and tampered URLs, and reads ranges and parts right.

    Deletes its objects; after a crash, the garbage collection deletes them, by their prefix ``probe/``.

    Raises:
        StoreUnavailable: the bucket does not answer, or refuses what it should accept.
    """
    run = _ProbeRun(store)
    try:
        overwrite, wrong_checksum = run.refuses_overwrite(), run.refuses_wrong_checksum()
        run.try_longer_body()
        return Capabilities(
            refuses_wrong_checksum=wrong_checksum,
            refuses_overwrite=overwrite,
            refuses_tampered_signature=run.refuses_tampered_signature(),
            reads_ranges_right=run.reads_ranges_right(),
            reads_multipart_right=run.reads_multipart_right(),
            remarks=tuple(run.remarks),
        )
    finally:
        run.clean_up()


class _ProbeRun:
    """One run of the probe, with the keys that it created and its remarks."""

    def __init__(self, store: ProbedStore) -> None:
        self.remarks: list[str] = []
        self._store = store
        self._keys: list[str] = []
        self._signer = self._choose_signer()

    def clean_up(self) -> None:
        """Delete the objects under all keys of this run."""
        for key in self._keys:
            self._store.delete(key)

    def refuses_overwrite(self) -> bool:
        """Return whether a second write by the same URL is refused, with its condition and without.

        May add a remark.
        """
        key = self._new_key()
        first = self._sign_put(key, _BODY)
        self._send_valid(first, _BODY)
        replayed = self._is_accepted(first, _OTHER)
        left_out = self._is_accepted(first, _OTHER, without="If-None-Match")
        if left_out:
            self.remarks.append(HEADER_MAY_BE_OMITTED)
        return not replayed and not left_out and self._reads_back(key, _BODY)

    def refuses_wrong_checksum(self) -> bool:
        """Return whether a body with another checksum than the signed one is refused; may add a remark."""
        key = self._new_key()
        request = self._sign_put(key, _BODY)
        refuses = not self._is_accepted(request, _OTHER) and self._store.stat(key) is None
        key = self._new_key()
        request = self._sign_put(key, _BODY)
        changed = build_put_headers(len(_OTHER), hashlib.sha256(_OTHER).hexdigest())
        if self._is_accepted(request, _OTHER, headers=changed):
            self.remarks.append(CHECKSUM_MAY_CHANGE)
        return refuses

    def refuses_tampered_signature(self) -> bool:
        """Return whether a URL is valid for its key only, and a signature for its request only."""
        key, other = self._new_key(), self._new_key()
        request = self._sign_put(key, _BODY)
        moved = SignedRequest("PUT", request.url.replace(key, other), request.headers, request.expires_at)
        last = "0" if request.url[-1] != "0" else "1"
        forged = SignedRequest("PUT", request.url[:-1] + last, request.headers, request.expires_at)
        send_signed = [self._is_accepted(moved, _BODY), self._is_accepted(forged, _BODY)]
        return not any(send_signed) and self._store.stat(other) is None and self._store.stat(key) is None

    def try_longer_body(self) -> None:
        """Add a remark if a body may be longer than its signed length."""
        key = self._new_key()
        signed = build_put_headers(len(_BODY), None)
        request = self._signer.sign("PUT", self._store.get_object_name(key), _LIFETIME, signed)
        if self._is_accepted(request, _BODY + b"x", headers={**signed, "Content-Length": str(len(_BODY) + 1)}):
            self.remarks.append(BODY_MAY_BE_LONGER)

    def reads_ranges_right(self) -> bool:
        """Return whether a signed GET returns the requested range, and the store reads back the whole object."""
        key = self._new_key()
        self._send_valid(self._sign_put(key, _BODY), _BODY)
        request = self._signer.sign("GET", self._store.get_object_name(key), _LIFETIME)
        status, body = self._send(request, b"", {"Range": "bytes=100-1099"})
        return status == 206 and body == _BODY[100:1100] and self._reads_back(key, _BODY)

    def reads_multipart_right(self) -> bool:
        """Return whether two parts, sent in reverse order, become the original file."""
        key, body = self._new_key(), os.urandom(_PART) + b"the end"
        upload = self._store.start_multipart(key, len(body), _PART)
        try:
            named = [self._upload_part(key, upload, 2, body[_PART:]), self._upload_part(key, upload, 1, body[:_PART])]
            self._store.finish_multipart(key, upload, named[::-1])
        except StoreUnavailable:
            raise
        except StoreError:
            return False
        finally:
            self._store.abort_multipart(key, upload)
        return self._reads_back(key, body)

    def _upload_part(self, key: str, upload: str, number: int, body: bytes) -> NamedPart:
        """Upload a part by its signed URL and return it as the store lists it.

        Raises:
            PartsWrong: it is not listed.
            StoreUnavailable: it was refused.
        """
        query = {"partNumber": str(number), "uploadId": upload}
        request = self._signer.sign(
            "PUT", self._store.get_object_name(key), _LIFETIME, {"Content-Length": str(len(body))}, query
        )
        self._send_valid(request, body)
        for part in self._store.list_parts(key, upload):
            if part.number == number:
                return NamedPart(number, part.etag)
        raise PartsWrong("A part that the bucket accepted is missing.", missing=[number])

    def _new_key(self) -> str:
        """Return a new key, whose object ``clean_up`` deletes."""
        key = f"probe/{uuid.UUID(int=0)}/{uuid.uuid4()}"
        self._keys.append(key)
        return key

    def _sign_put(self, key: str, body: bytes) -> SignedRequest:
        """Return a presigned PUT of this body, with its checksum; nothing is sent."""
        headers = build_put_headers(len(body), hashlib.sha256(body).hexdigest())
        return self._signer.sign("PUT", self._store.get_object_name(key), _LIFETIME, headers)

    def _read_all(self, key: str) -> bytes:
        """Return the content of an object, up to 10 MiB."""
        return b"".join(self._store.read(key, 0, _PART * 2))

    def _reads_back(self, key: str, body: bytes) -> bool:
        """Return whether the object has exactly this content; an interrupted read raises instead."""
        try:
            return self._read_all(key) == body
        except StoreUnavailable as error:
            if error.facts.get("code") != WRONG_RANGE:
                raise
            return False

    def _is_accepted(
        self, request: SignedRequest, body: bytes, *, without: str = "", headers: Mapping[str, str] | None = None
    ) -> bool:
        """Send the request and return whether the store accepted it.

        Sent are the signed headers, or ``headers`` in place of them, except the one named by ``without``.

        Raises:
            StoreUnavailable: the store failed (a status of 500 or above), or does not answer.
        """
        chosen = {name: text for name, text in (headers or request.headers).items() if name != without}
        status, _ = self._send(request, body, chosen)
        if status >= 500:
            raise StoreUnavailable(f"The storage service answered with status {status}. Check it, then try again.")
        return status < 300

    def _send_valid(self, request: SignedRequest, body: bytes) -> None:
        """Send a request as it was signed.

        Raises:
            StoreUnavailable: the store answers with another status than 200, or not at all.
        """
        status, answer = self._send(request, body, request.headers)
        if status != 200:
            code = parse_error_response(status, answer).code
            raise StoreUnavailable(
                f"The bucket refuses signed requests ({status} {code}). Check key, region, policy and clock.", code=code
            )

    def _send(self, request: SignedRequest, body: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
        """Send a request with these headers only; return the status, whatever it is, and the body.

        Raises:
            StoreUnavailable: the store does not answer.
        """
        with translate_store_errors():
            return self._store.connections.send_signed(request.method, request.url, headers, body)

    def _choose_signer(self) -> S3Signer:
        """Return the signer of client URLs, or, with a remark, our own if the public endpoint is unreachable."""
        connections = self._store.connections
        with translate_store_errors():
            signer, own = connections.public_signer, connections.signer
        if signer is own:
            return own
        request = signer.sign("GET", self._store.get_object_name(self._new_key()), _LIFETIME)
        try:
            self._send(request, b"", {})
        except StoreUnavailable:
            self.remarks.append(PUBLIC_ENDPOINT_UNREACHABLE)
            return own
        return signer
