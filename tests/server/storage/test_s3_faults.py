"""Failures of a bucket: each becomes one error of the store with a clear message, within the timeouts."""

import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from modelyard.server.fairness.accounts import Account
from modelyard.server.storage.blob_store import NamedPart, NoSuchKey, StoreError, StoreUnavailable
from modelyard.server.storage.s3.connections import Limits
from modelyard.server.storage.s3.request_places import build_request_places
from modelyard.server.storage.s3.store import Bucket, BucketAccessError, S3Store
from tests.journeys.fault_proxy import DropResponse, FaultProxy, RespondInstead
from tests.seaweed import RunningSeaweed
from tests.server.storage.served_store import HOUR, ServedStore, bucket_in, noise
from tests.transfer.faulty_server import Behavior, Exchange, FaultyServer
from tests.waiting import PATIENCE_SECONDS, wait_until

pytestmark = pytest.mark.slow

# For answers that never come; the limits of production would make these tests as long.
IMPATIENT = Limits(connect_seconds=0.5, read_seconds=0.5, copy_seconds=0.5, attempts=1)
# For answers that come, however late.
PATIENT = Limits(PATIENCE_SECONDS, PATIENCE_SECONDS, PATIENCE_SECONDS, attempts=1)
KEY = "models/01234567-89ab-cdef-0123-456789abcdef/01234567-89ab-cdef-0123-456789abcdef"
TO = KEY.replace("models", "served")
SIZE = 3 << 20


def error(code: str, message: str = "") -> bytes:
    return f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    """A store whose responses the test defines."""
    server = FaultyServer()
    yield server
    server.close()


@pytest.fixture(scope="module")
def faulty() -> Iterator[tuple[FaultyServer, S3Store]]:
    """A store whose responses the test defines, shared by many tests, and an ``S3Store`` that uses it."""
    server = FaultyServer()
    yield server, store_at(server.base)
    server.close()


def store_at(endpoint: str, limits: Limits = PATIENT) -> S3Store:
    return S3Store(Bucket("yard", "p", endpoint, endpoint, access_key="key", secret_key="s" * 20), limits=limits)


def answering(status: int, body: bytes) -> Behavior:
    def answer(exchange: Exchange) -> None:
        exchange.read(int(exchange.headers.get("content-length", 0)))
        exchange.respond(status, body if exchange.method != "HEAD" else b"")

    return answer


def silent(exchange: Exchange) -> None:
    exchange.wait_for_client_to_leave()


def cut_off(exchange: Exchange) -> None:
    """Send half of the announced bytes, then reset the connection."""
    exchange.send_head(206, Content_Length=SIZE, Content_Range=f"bytes 0-{SIZE - 1}/{SIZE}", ETag='"e"')
    exchange.sock.sendall(b"x" * (SIZE // 2))
    exchange.reset()


def ended_early(exchange: Exchange) -> None:
    """Send half of the announced bytes, then close the connection."""
    exchange.send_head(206, Content_Length=SIZE, Content_Range=f"bytes 0-{SIZE - 1}/{SIZE}", ETag='"e"')
    exchange.sock.sendall(b"x" * (SIZE // 2))
    exchange.close_connection()


def stalled(exchange: Exchange) -> None:
    """Send half of the announced bytes, then nothing."""
    exchange.send_head(206, Content_Length=SIZE, Content_Range=f"bytes 0-{SIZE - 1}/{SIZE}", ETag='"e"')
    exchange.sock.sendall(b"x" * (SIZE // 2))
    exchange.wait_for_client_to_leave()


def reset(exchange: Exchange) -> None:
    exchange.reset()


BADLY: dict[str, Behavior] = {
    "silent": silent,
    "reset": reset,
    "busy": answering(503, error("SlowDown")),
    "broken": answering(500, b"not even XML"),
}
ASKED: dict[str, Callable[[S3Store], object]] = {
    "stored": lambda store: store.stat(KEY),
    "start": lambda store: store.start_multipart(KEY, 5, 5 << 20),
    "parts": lambda store: store.list_parts(KEY, "upload"),
    "finish": lambda store: store.finish_multipart(KEY, "upload", [NamedPart(1, "e")]),
    "abort": lambda store: store.abort_multipart(KEY, "upload"),
    "read": lambda store: b"".join(store.read(KEY, 0, SIZE)),
    "copy": lambda store: store.copy(KEY, TO),
    "delete": lambda store: store.delete(KEY),
    "keys": lambda store: list(store.list_keys("")),
    "open_uploads": lambda store: list(store.list_open_uploads(datetime.now(UTC))),
    "check": lambda store: store.check_access(),
    "probe": lambda store: store.probe(),
}


@pytest.mark.parametrize("what", ASKED)
@pytest.mark.parametrize("how", ["silent", "reset", "busy", "broken"])
def test_s3_call_bad_response_raises_store_unavailable(
    faulty: tuple[FaultyServer, S3Store], what: str, how: str
) -> None:
    server, patient = faulty
    server.always, before = BADLY[how], len(server.seen)
    store = store_at(server.base, IMPATIENT) if how == "silent" else patient
    with pytest.raises(StoreUnavailable) as failed:
        ASKED[what](store)
    # Each waits for one timeout at most.
    assert len(server.seen) - before <= 2
    assert failed.value.detail.endswith(".")
    assert "127.0.0.1" not in failed.value.detail


def test_s3_call_refused_connection_raises_store_unavailable() -> None:
    store = store_at("http://127.0.0.1:1")
    for ask in ASKED.values():
        with pytest.raises(StoreUnavailable):
            ask(store)


def test_s3_call_unknown_host_raises_store_unavailable() -> None:
    with pytest.raises(StoreUnavailable):
        store_at("http://no-such-host.invalid").stat(KEY)


@pytest.mark.parametrize(
    ("code", "status", "words"),
    [
        ("NoSuchBucket", 404, "no such bucket"),
        ("InvalidAccessKeyId", 403, "MODELYARD_STORAGE_ACCESS_KEY"),
        ("SignatureDoesNotMatch", 403, "MODELYARD_STORAGE_SECRET_KEY"),
        ("AccessDenied", 403, "permissions"),
        ("RequestTimeTooSkewed", 403, "clock"),
        ("ExpiredToken", 400, "expired"),
        ("PermanentRedirect", 301, "MODELYARD_STORAGE_REGION"),
        ("InvalidRequest", 400, "InvalidRequest"),
    ],
)
def test_s3_call_misconfiguration_names_cause(
    faulty: tuple[FaultyServer, S3Store], code: str, status: int, words: str
) -> None:
    server, store = faulty
    server.always = answering(status, error(code, "as the store says it"))
    with pytest.raises(BucketAccessError, match=words) as refused:
        store.check_access()
    assert "yard" in refused.value.detail
    with pytest.raises(StoreUnavailable, match=words):
        list(store.list_keys(""))
    with pytest.raises(StoreUnavailable, match=words):
        store.read(KEY, 0, 5)


def test_stat_missing_bucket_raises_instead_of_none(seaweed_server: RunningSeaweed) -> None:
    store = S3Store(bucket_in(seaweed_server, "no-such-bucket"))
    with pytest.raises(StoreUnavailable, match="no such bucket"):
        store.stat(KEY)
    with pytest.raises(StoreUnavailable, match="no such bucket"):
        store.read(KEY, 0, 5)
    with pytest.raises(BucketAccessError, match="no such bucket"):
        store.check_access()


def test_stat_bucket_returns_between_requests_finds_object(server: FaultyServer) -> None:
    def found(exchange: Exchange) -> None:
        exchange.send_head(200, Content_Length=5, ETag='"a"', Last_Modified="Wed, 25 Nov 2026 12:00:00 GMT")

    server.script.extend([answering(404, b""), answering(200, b""), found])
    stored = store_at(server.base).stat(KEY)
    assert stored is not None
    assert stored.size == 5


@pytest.mark.parametrize(("changed", "words"), [("access_key", "ACCESS_KEY"), ("secret_key", "SECRET_KEY")])
def test_check_access_wrong_credentials_fails_at_once(
    seaweed_server: RunningSeaweed, bucket: str, changed: str, words: str
) -> None:
    named = bucket_in(seaweed_server, bucket)
    wrong = {"access_key": replace(named, access_key="nobody"), "secret_key": replace(named, secret_key="x" * 20)}
    store = S3Store(wrong[changed])
    with pytest.raises(BucketAccessError, match=words):
        store.check_access()
    with pytest.raises(StoreUnavailable):
        store.stat(KEY)


@pytest.mark.parametrize("how", [cut_off, ended_early, stalled])
def test_read_interrupted_body_raises_store_unavailable(server: FaultyServer, how: Behavior) -> None:
    server.always = how
    with pytest.raises(StoreUnavailable):
        list(store_at(server.base, IMPATIENT if how is stalled else PATIENT).read(KEY, 0, SIZE))
    server.wait_until_quiet()


@pytest.mark.parametrize(
    ("status", "length", "stretch"),
    [
        (206, SIZE, f"bytes 1-{SIZE}/{SIZE + 1}"),
        (206, SIZE, "bytes 0-9/10"),
        (206, SIZE, "none"),
        (200, SIZE + 1, "none"),
    ],
    ids=["shifted", "too short", "unsaid", "whole and longer"],
)
def test_read_other_range_in_response_raises(server: FaultyServer, status: int, length: int, stretch: str) -> None:
    def other(exchange: Exchange) -> None:
        exchange.send_head(status, Content_Length=length, Content_Range=stretch, ETag='"e"')
        exchange.sock.sendall(b"x" * SIZE)

    server.always = other
    with pytest.raises(StoreUnavailable, match="another range"):
        store_at(server.base).read(KEY, 0, SIZE)
    server.wait_until_quiet()


def test_read_stopped_midway_closes_connection(seaweed_served_store: ServedStore) -> None:
    key, body = seaweed_served_store.new_key(), noise(SIZE)
    seaweed_served_store.put(key, body)
    assert isinstance(seaweed_served_store.store, S3Store)
    store = S3Store(seaweed_served_store.store.bucket)
    for _ in range(100):
        reading = store.read(key, 0, SIZE)
        next(reading)
        reading.close()  # type: ignore[attr-defined]  # what read gives can do more than Iterator
    assert b"".join(store.read(key, 0, SIZE)) == body


def test_read_on_closed_kept_alive_connection_reconnects(seaweed_server: RunningSeaweed, bucket: str) -> None:
    proxy = FaultProxy(seaweed_server.endpoint)
    store = S3Store(replace(bucket_in(seaweed_server, bucket, "kept"), endpoint=proxy.url))
    served_store = ServedStore(store, seaweed_server.port)
    key = served_store.new_key()
    served_store.put(key, b"bytes")
    for _ in range(3):
        assert served_store.content(key) == b"bytes"
        proxy.inject_once(DropResponse(), "GET", f"/{bucket}/kept/{key}")
    proxy.close()


# Finishing.


@pytest.fixture
def proxy(seaweed_server: RunningSeaweed) -> Iterator[FaultProxy]:
    proxy = FaultProxy(seaweed_server.endpoint)
    yield proxy
    proxy.close()


@pytest.fixture
def served_store(seaweed_server: RunningSeaweed, bucket: str, proxy: FaultProxy) -> ServedStore:
    """A real store behind a proxy in which tests inject faults; clients connect to it directly."""
    named = replace(bucket_in(seaweed_server, bucket, "between"), endpoint=proxy.url)
    return ServedStore(S3Store(named), seaweed_server.port, 5 << 20)


def started(served_store: ServedStore, body: bytes) -> tuple[str, str, list[NamedPart]]:
    key = served_store.new_key()
    upload = served_store.store.start_multipart(key, len(body), served_store.part_size)
    return key, upload, [served_store.put_part(key, upload, 1, body)]


def test_finish_multipart_error_in_200_body_raises(served_store: ServedStore, proxy: FaultProxy) -> None:
    key, upload, named = started(served_store, b"bytes")
    proxy.inject_once(RespondInstead(200, error("InternalError", "We had to start it again.")), "POST", ".*")
    with pytest.raises(StoreUnavailable, match="InternalError"):
        served_store.store.finish_multipart(key, upload, named)
    assert served_store.store.stat(key) is None
    served_store.store.finish_multipart(key, upload, named)
    assert served_store.content(key) == b"bytes"


def test_finish_multipart_after_lost_response_succeeds(served_store: ServedStore, proxy: FaultProxy) -> None:
    key, upload, named = started(served_store, b"bytes")
    proxy.inject_once(DropResponse(), "POST", ".*")
    with pytest.raises(StoreUnavailable):
        served_store.store.finish_multipart(key, upload, named)
    served_store.store.finish_multipart(key, upload, named)
    assert served_store.content(key) == b"bytes"


def test_finish_multipart_store_without_conditions_succeeds(served_store: ServedStore, proxy: FaultProxy) -> None:
    key, upload, named = started(served_store, b"bytes")
    proxy.inject_once(RespondInstead(501, error("NotImplemented")), "POST", ".*")
    served_store.store.finish_multipart(key, upload, named)
    assert served_store.content(key) == b"bytes"


def test_start_multipart_lost_response_is_listed_as_open_upload(served_store: ServedStore, proxy: FaultProxy) -> None:
    key = served_store.new_key()
    proxy.inject_once(DropResponse(), "POST", ".*")
    upload = served_store.store.start_multipart(key, 5, served_store.part_size)
    soon = datetime.now(UTC) + timedelta(minutes=1)
    found = {found.upload for found in served_store.store.list_open_uploads(soon) if found.key == key}
    assert upload in found
    for each in found:
        served_store.store.abort_multipart(key, each)


def test_copy_lost_response_leaves_copy(served_store: ServedStore, proxy: FaultProxy) -> None:
    key, to = served_store.new_key(), served_store.new_key("served")
    served_store.put(key, b"bytes")
    proxy.inject_once(DropResponse(), "PUT", ".*")
    with pytest.raises(StoreUnavailable):
        served_store.store.copy(key, to)
    assert served_store.content(to) == b"bytes"


# Going and coming back.


def test_s3_call_after_bucket_recovers_succeeds() -> None:
    with RunningSeaweed() as own, own.bucket() as name:
        served_store = ServedStore(S3Store(bucket_in(own, name), limits=IMPATIENT), own.port)
        key = served_store.new_key()
        assert served_store.put(key, b"bytes").status == 200
        own.pause()
        with pytest.raises(StoreUnavailable):
            served_store.store.stat(key)
        own.resume()
        wait_until(lambda: find_content(served_store, key) == b"bytes")
        own.stop(signal.SIGKILL)
        with pytest.raises(StoreUnavailable):
            served_store.store.read(key, 0, 5)
        own.start()
        wait_until(lambda: find_content(served_store, key) == b"bytes")


def find_content(served_store: ServedStore, key: str) -> bytes | None:
    """Return the stored content of a key, or None while the store does not answer in time."""
    try:
        return served_store.content(key)
    except StoreError:
        return None


def test_s3_calls_to_slow_bucket_beyond_limit_fail(server: FaultyServer) -> None:
    server.always = silent
    store = store_at(server.base, IMPATIENT)
    store.connections.places = build_request_places(1)
    with store.connections.places.hold(Account()), pytest.raises(StoreUnavailable, match="slow"):
        store.stat(KEY)
    assert server.seen == []


def test_presign_unreachable_bucket_succeeds(server: FaultyServer) -> None:
    store = store_at("http://127.0.0.1:1")
    assert store.presign_put(KEY, 5, None, HOUR).url.startswith("http://127.0.0.1:1/yard/p/models/")
    assert store.presign_part(KEY, "upload", 1, 5, HOUR).method == "PUT"


def test_stat_missing_object_returns_none(seaweed_served_store: ServedStore) -> None:
    assert seaweed_served_store.store.stat(seaweed_served_store.new_key()) is None
    with pytest.raises(NoSuchKey):
        seaweed_served_store.store.read(seaweed_served_store.new_key(), 0, 5)
