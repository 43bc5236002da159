"""What becomes of a bucket's bad days: each is one error of the store, in words, within the limits."""

import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from modelyard.server.storage.blob_store import NamedPart, NoSuchKey, StoreError, StoreUnavailable
from modelyard.server.storage.s3 import Bucket, BucketRefused, S3Store
from modelyard.server.storage.s3_bucket import Limits
from modelyard.server.storage.s3_gate import Gate
from tests.journeys.between import AnswerInstead, Between, LoseAnswer
from tests.seaweed import RunningSeaweed
from tests.server.storage.place import HOUR, Place, bucket_in, noise, until
from tests.transfer.misbehaving import Behaviour, Exchange, MisbehavingServer

# A second is long on loopback; the limits of production would make these tests as long.
IMPATIENT = Limits(connect_seconds=0.5, read_seconds=0.5, copy_seconds=0.5, attempts=1)
KEY = "models/01234567-89ab-cdef-0123-456789abcdef/01234567-89ab-cdef-0123-456789abcdef"
TO = KEY.replace("models", "served")
SIZE = 3 << 20


def error(code: str, message: str = "") -> bytes:
    return f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()


@pytest.fixture
def server() -> Iterator[MisbehavingServer]:
    """A store that answers what a test says, whatever it is asked."""
    server = MisbehavingServer()
    yield server
    server.close()


@pytest.fixture(scope="module")
def faulty() -> Iterator[tuple[MisbehavingServer, S3Store]]:
    """The same for many tests, with one store that asks it."""
    server = MisbehavingServer()
    yield server, store_at(server.base)
    server.close()


def store_at(endpoint: str, limits: Limits = IMPATIENT) -> S3Store:
    return S3Store(Bucket("yard", "p", endpoint, endpoint, access_key="key", secret_key="s" * 20), limits=limits)


def answering(status: int, body: bytes) -> Behaviour:
    def answer(exchange: Exchange) -> None:
        exchange.take(int(exchange.headers.get("content-length", 0)))
        exchange.answer(status, body if exchange.method != "HEAD" else b"")

    return answer


def silent(exchange: Exchange) -> None:
    exchange.wait_for_client_to_leave()


def cut_off(exchange: Exchange) -> None:
    """Half of what was promised, and then a reset."""
    exchange.head(206, Content_Length=SIZE, Content_Range=f"bytes 0-{SIZE - 1}/{SIZE}", ETag='"e"')
    exchange.sock.sendall(b"x" * (SIZE // 2))
    exchange.reset()


def ended_early(exchange: Exchange) -> None:
    """Half of what was promised, and a polite end."""
    exchange.head(206, Content_Length=SIZE, Content_Range=f"bytes 0-{SIZE - 1}/{SIZE}", ETag='"e"')
    exchange.sock.sendall(b"x" * (SIZE // 2))
    exchange.hang_up()


def stalled(exchange: Exchange) -> None:
    """Half of what was promised, and then nothing."""
    exchange.head(206, Content_Length=SIZE, Content_Range=f"bytes 0-{SIZE - 1}/{SIZE}", ETag='"e"')
    exchange.sock.sendall(b"x" * (SIZE // 2))
    exchange.wait_for_client_to_leave()


def reset(exchange: Exchange) -> None:
    exchange.reset()


BADLY: dict[str, Behaviour] = {
    "silent": silent,
    "reset": reset,
    "busy": answering(503, error("SlowDown")),
    "broken": answering(500, b"not even XML"),
}
ASKED: dict[str, Callable[[S3Store], object]] = {
    "stored": lambda store: store.stored(KEY),
    "start": lambda store: store.start(KEY, 5, 5 << 20),
    "parts": lambda store: store.parts(KEY, "upload"),
    "finish": lambda store: store.finish(KEY, "upload", [NamedPart(1, "e")]),
    "abort": lambda store: store.abort(KEY, "upload"),
    "read": lambda store: b"".join(store.read(KEY, 0, SIZE)),
    "copy": lambda store: store.copy(KEY, TO),
    "delete": lambda store: store.delete(KEY),
    "keys": lambda store: list(store.keys("")),
    "open_uploads": lambda store: list(store.open_uploads(datetime.now(UTC))),
    "check": lambda store: store.check(),
    "probe": lambda store: store.probe(),
}


@pytest.mark.parametrize("what", ASKED)
@pytest.mark.parametrize("how", ["silent", "reset", "busy", "broken"])
def test_a_bucket_that_does_not_answer_well_is_unavailable(
    faulty: tuple[MisbehavingServer, S3Store], what: str, how: str
) -> None:
    server, store = faulty
    server.always = BADLY[how]
    begun = time.monotonic()
    with pytest.raises(StoreUnavailable) as failed:
        ASKED[what](store)
    assert time.monotonic() - begun < 10
    assert failed.value.detail.endswith(".")
    assert "127.0.0.1" not in failed.value.detail


def test_a_bucket_that_is_not_there_at_all_is_unavailable() -> None:
    store = store_at("http://127.0.0.1:1")
    for ask in ASKED.values():
        with pytest.raises(StoreUnavailable):
            ask(store)


def test_a_host_without_an_address_is_unavailable() -> None:
    with pytest.raises(StoreUnavailable):
        store_at("http://no-such-host.invalid").stored(KEY)


@pytest.mark.parametrize(
    ("code", "status", "words"),
    [
        ("NoSuchBucket", 404, "no such bucket"),
        ("InvalidAccessKeyId", 403, "MODELYARD_STORAGE_ACCESS_KEY"),
        ("SignatureDoesNotMatch", 403, "MODELYARD_STORAGE_SECRET_KEY"),
        ("AccessDenied", 403, "rights"),
        ("RequestTimeTooSkewed", 403, "clock"),
        ("ExpiredToken", 400, "expired"),
        ("PermanentRedirect", 301, "MODELYARD_STORAGE_REGION"),
        ("InvalidRequest", 400, "InvalidRequest"),
    ],
)
def test_what_an_operator_must_mend_is_said_in_words(
    faulty: tuple[MisbehavingServer, S3Store], code: str, status: int, words: str
) -> None:
    server, store = faulty
    server.always = answering(status, error(code, "as the store says it"))
    with pytest.raises(BucketRefused, match=words) as refused:
        store.check()
    assert "yard" in refused.value.detail
    with pytest.raises(StoreUnavailable, match=words):
        list(store.keys(""))
    with pytest.raises(StoreUnavailable, match=words):
        store.read(KEY, 0, 5)


def test_a_missing_bucket_is_not_taken_for_a_missing_file(seaweed_server: RunningSeaweed) -> None:
    store = S3Store(bucket_in(seaweed_server, "no-such-bucket"))
    with pytest.raises(StoreUnavailable, match="no such bucket"):
        store.stored(KEY)
    with pytest.raises(StoreUnavailable, match="no such bucket"):
        store.read(KEY, 0, 5)
    with pytest.raises(BucketRefused, match="no such bucket"):
        store.check()


@pytest.mark.parametrize(("changed", "words"), [("access_key", "ACCESS_KEY"), ("secret_key", "SECRET_KEY")])
def test_wrong_credentials_are_refused_at_once(
    seaweed_server: RunningSeaweed, bucket: str, changed: str, words: str
) -> None:
    named = bucket_in(seaweed_server, bucket)
    wrong = {"access_key": replace(named, access_key="nobody"), "secret_key": replace(named, secret_key="x" * 20)}
    store = S3Store(wrong[changed])
    with pytest.raises(BucketRefused, match=words):
        store.check()
    with pytest.raises(StoreUnavailable):
        store.stored(KEY)


@pytest.mark.parametrize("how", [cut_off, ended_early, stalled])
def test_a_body_that_breaks_off_is_no_end_of_the_file(server: MisbehavingServer, how: Behaviour) -> None:
    server.always = how
    reading = store_at(server.base).read(KEY, 0, SIZE)
    with pytest.raises(StoreUnavailable):
        list(reading)
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
def test_another_stretch_than_was_asked_for_is_not_read(
    server: MisbehavingServer, status: int, length: int, stretch: str
) -> None:
    def other(exchange: Exchange) -> None:
        exchange.head(status, Content_Length=length, Content_Range=stretch, ETag='"e"')
        exchange.sock.sendall(b"x" * SIZE)

    server.always = other
    with pytest.raises(StoreUnavailable, match="another stretch"):
        store_at(server.base).read(KEY, 0, SIZE)
    server.wait_until_quiet()


def test_a_reader_that_stops_in_the_middle_leaves_no_connection(seaweed_place: Place) -> None:
    key, body = seaweed_place.new_key(), noise(SIZE)
    seaweed_place.put(key, body)
    assert isinstance(seaweed_place.store, S3Store)
    store = S3Store(seaweed_place.store.bucket)
    for _ in range(100):
        reading = store.read(key, 0, SIZE)
        next(reading)
        reading.close()  # type: ignore[attr-defined]  # what read gives can do more than Iterator
    assert b"".join(store.read(key, 0, SIZE)) == body


def test_a_kept_connection_that_was_closed_is_opened_again(seaweed_server: RunningSeaweed, bucket: str) -> None:
    between = Between(seaweed_server.endpoint)
    store = S3Store(replace(bucket_in(seaweed_server, bucket, "kept"), endpoint=between.url))
    place = Place(store, seaweed_server.port)
    key = place.new_key()
    place.put(key, b"bytes")
    for _ in range(3):
        assert place.content(key) == b"bytes"
        between.once(LoseAnswer(), "GET", f"/{bucket}/kept/{key}")
    between.close()


# Finishing.


@pytest.fixture
def between(seaweed_server: RunningSeaweed) -> Iterator[Between]:
    between = Between(seaweed_server.endpoint)
    yield between
    between.close()


@pytest.fixture
def place(seaweed_server: RunningSeaweed, bucket: str, between: Between) -> Place:
    """A real store behind a network that a test can spoil; clients go straight to it."""
    named = replace(bucket_in(seaweed_server, bucket, "between"), endpoint=between.url)
    return Place(S3Store(named), seaweed_server.port, 5 << 20)


def started(place: Place, body: bytes) -> tuple[str, str, list[NamedPart]]:
    key = place.new_key()
    upload = place.store.start(key, len(body), place.part_size)
    return key, upload, [place.put_part(key, upload, 1, body)]


def test_an_error_in_a_200_on_completing_is_an_error(place: Place, between: Between) -> None:
    key, upload, named = started(place, b"bytes")
    between.once(AnswerInstead(200, error("InternalError", "We had to start it again.")), "POST", ".*")
    with pytest.raises(StoreUnavailable, match="InternalError"):
        place.store.finish(key, upload, named)
    assert place.store.stored(key) is None
    place.store.finish(key, upload, named)
    assert place.content(key) == b"bytes"


def test_a_completion_whose_answer_was_lost_can_be_repeated(place: Place, between: Between) -> None:
    key, upload, named = started(place, b"bytes")
    between.once(LoseAnswer(), "POST", ".*")
    with pytest.raises(StoreUnavailable):
        place.store.finish(key, upload, named)
    place.store.finish(key, upload, named)
    assert place.content(key) == b"bytes"


def test_a_store_without_conditions_on_completing_is_asked_without(place: Place, between: Between) -> None:
    key, upload, named = started(place, b"bytes")
    between.once(AnswerInstead(501, error("NotImplemented")), "POST", ".*")
    place.store.finish(key, upload, named)
    assert place.content(key) == b"bytes"


def test_a_start_whose_answer_was_lost_leaves_an_upload_that_is_found(place: Place, between: Between) -> None:
    key = place.new_key()
    between.once(LoseAnswer(), "POST", ".*")
    upload = place.store.start(key, 5, place.part_size)
    soon = datetime.now(UTC) + timedelta(minutes=1)
    found = {found.upload for found in place.store.open_uploads(soon) if found.key == key}
    assert upload in found
    for each in found:
        place.store.abort(key, each)


def test_a_copy_whose_answer_was_lost_is_there(place: Place, between: Between) -> None:
    key, to = place.new_key(), place.new_key("served")
    place.put(key, b"bytes")
    between.once(LoseAnswer(), "PUT", ".*")
    with pytest.raises(StoreUnavailable):
        place.store.copy(key, to)
    assert place.content(to) == b"bytes"


# Going and coming back.


def test_a_bucket_that_comes_back_is_used_again() -> None:
    with RunningSeaweed() as own, own.bucket() as name:
        place = Place(S3Store(bucket_in(own, name), limits=IMPATIENT), own.port)
        key = place.new_key()
        assert place.put(key, b"bytes").status == 200
        own.pause()
        with pytest.raises(StoreUnavailable):
            place.store.stored(key)
        own.resume()
        assert place.content(key) == b"bytes"
        own.stop(signal.SIGKILL)
        with pytest.raises(StoreUnavailable):
            place.store.read(key, 0, 5)
        own.start()
        until(lambda: answers(place.store, key))
        assert place.content(key) == b"bytes"


def answers(store: object, key: str) -> bool:
    assert isinstance(store, S3Store)
    try:
        return store.stored(key) is not None
    except StoreError:
        return False


def test_a_slow_bucket_holds_only_some_threads(server: MisbehavingServer) -> None:
    server.always = silent
    store = store_at(server.base)
    store.connections.gate = Gate(1)
    with store.connections.gate.entered(), pytest.raises(StoreUnavailable, match="slow"):
        store.stored(KEY)
    assert server.seen == []


def test_signing_needs_no_bucket(server: MisbehavingServer) -> None:
    store = store_at("http://127.0.0.1:1")
    assert store.put_request(KEY, 5, None, HOUR).url.startswith("http://127.0.0.1:1/yard/p/models/")
    assert store.part_request(KEY, "upload", 1, 5, HOUR).method == "PUT"


def test_a_missing_file_is_no_fault(seaweed_place: Place) -> None:
    assert seaweed_place.store.stored(seaweed_place.new_key()) is None
    with pytest.raises(NoSuchKey):
        seaweed_place.store.read(seaweed_place.new_key(), 0, 5)
