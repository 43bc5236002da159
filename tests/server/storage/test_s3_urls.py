"""The signed URLs of a bucket, as clients and attackers see them; SeaweedFS stands for every store that checks them."""

import hashlib
import http.client
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import parse_qsl, urlsplit

import pytest

from modelyard.server.storage.blob_store import NoSuchUpload, StoreUnavailable
from modelyard.server.storage.s3 import Bucket, S3Store
from tests.seaweed import RunningSeaweed
from tests.server.storage.place import HOUR, Place, bucket_in

BODY = b"the bytes of a model"
SHA256 = hashlib.sha256(BODY).hexdigest()


def mutations(url: str) -> Iterator[str]:
    """The URL with each field of its query changed, and with each left out."""
    path, _, query = url.partition("?")
    fields = query.split("&")
    for n, field in enumerate(fields):
        changed = field[:-1] + ("1" if field[-1] != "1" else "2")
        yield f"{path}?{'&'.join([*fields[:n], changed, *fields[n + 1 :]])}"
        # Without any of these a request is no longer a signed one, or is signed for another one.
        yield f"{path}?{'&'.join([*fields[:n], *fields[n + 1 :]])}"


def test_an_upload_url_with_anything_changed_is_refused(seaweed_place: Place) -> None:
    key = seaweed_place.new_key()
    request = seaweed_place.store.put_request(key, len(BODY), SHA256, HOUR)
    for changed in mutations(request.url):
        # A field that cannot even be read is a bad request (400) in place of a forbidden one.
        answer = seaweed_place.ask("PUT", changed, request.headers, BODY)
        assert (changed, answer.status in {400, 403}) == (changed, True)
    assert seaweed_place.store.stored(key) is None


def test_a_part_url_with_anything_changed_is_refused(seaweed_place: Place) -> None:
    key = seaweed_place.new_key()
    upload = seaweed_place.store.start(key, len(BODY), 5 << 20)
    request = seaweed_place.store.part_request(key, upload, 1, len(BODY), HOUR)
    for changed in mutations(request.url):
        answer = seaweed_place.ask("PUT", changed, request.headers, BODY)
        assert (changed, answer.status in {400, 403}) == (changed, True)
    assert seaweed_place.store.parts(key, upload) == []


def test_a_download_url_with_anything_changed_is_refused(seaweed_place: Place) -> None:
    key = seaweed_place.new_key()
    seaweed_place.put(key, BODY)
    request = seaweed_place.store.download_request(key, "ink.safetensors", SHA256, HOUR)
    assert seaweed_place.send(request).body == BODY
    for changed in mutations(request.url):
        assert (changed, seaweed_place.ask("GET", changed, {}).status in {400, 403}) == (changed, True)


@pytest.mark.parametrize("name", ["Content-Length", "If-None-Match", "x-amz-checksum-sha256"])
def test_what_an_uploader_must_send_is_signed_as_a_header(seaweed_place: Place, name: str) -> None:
    request = seaweed_place.store.put_request(seaweed_place.new_key(), len(BODY), SHA256, HOUR)
    query = dict(parse_qsl(urlsplit(request.url).query))
    assert name in request.headers
    assert name.lower() in query["X-Amz-SignedHeaders"].split(";")
    assert name.lower() not in {field.lower() for field in query}


@pytest.mark.parametrize("length", [len(BODY) - 1, len(BODY) + 1])
def test_a_part_of_another_length_than_signed_is_refused(seaweed_place: Place, length: int) -> None:
    key = seaweed_place.new_key()
    upload = seaweed_place.store.start(key, len(BODY), 5 << 20)
    request = seaweed_place.store.part_request(key, upload, 1, len(BODY), HOUR)
    answer = seaweed_place.send(request, (BODY + b"more")[:length], content_length=str(length))
    assert answer.status == 403
    assert seaweed_place.store.parts(key, upload) == []


def test_another_checksum_in_place_of_the_signed_one_is_refused(seaweed_place: Place) -> None:
    key, other = seaweed_place.new_key(), b"x" * len(BODY)
    request = seaweed_place.store.put_request(key, len(BODY), SHA256, HOUR)
    with_other = seaweed_place.store.put_request(key, len(BODY), hashlib.sha256(other).hexdigest(), HOUR)
    assert seaweed_place.ask("PUT", request.url, with_other.headers, other).status == 403
    assert seaweed_place.store.stored(key) is None


def test_a_url_works_for_one_method_only(seaweed_place: Place) -> None:
    key = seaweed_place.new_key()
    seaweed_place.put(key, BODY)
    download = seaweed_place.store.download_request(key, "ink.safetensors", SHA256, HOUR)
    for method in ("PUT", "DELETE", "POST"):
        assert seaweed_place.ask(method, download.url, {"Content-Length": "0"}).status in {403, 405}
    assert seaweed_place.content(key) == BODY


def test_a_part_url_of_an_upload_that_is_over_is_answered_404(seaweed_place: Place) -> None:
    key = seaweed_place.new_key()
    upload = seaweed_place.store.start(key, len(BODY), 5 << 20)
    request = seaweed_place.store.part_request(key, upload, 1, len(BODY), HOUR)
    seaweed_place.store.abort(key, upload)
    assert seaweed_place.send(request, BODY).status == 404
    with pytest.raises(NoSuchUpload):
        seaweed_place.store.parts(key, upload)


@pytest.mark.parametrize(
    ("name", "disposition"),
    [
        ("ink.safetensors", "attachment; filename=\"ink.safetensors\"; filename*=UTF-8''ink.safetensors"),
        ('größe 2".pt', "attachment; filename=\"gr__e 2_.pt\"; filename*=UTF-8''gr%C3%B6%C3%9Fe%202%22.pt"),
        ("a&b=c;d+e.pt", "attachment; filename=\"a_b_c_d_e.pt\"; filename*=UTF-8''a%26b%3Dc%3Bd%2Be.pt"),
    ],
)
def test_a_download_is_an_attachment_of_its_name(seaweed_place: Place, name: str, disposition: str) -> None:
    key = seaweed_place.new_key()
    seaweed_place.put(key, BODY)
    answer = seaweed_place.get(key, name=name)
    assert answer.headers["content-disposition"] == disposition
    assert answer.headers["content-type"] == "application/octet-stream"


def test_clients_are_sent_to_the_endpoint_that_they_see(seaweed_server: RunningSeaweed, bucket: str) -> None:
    public = f"http://localhost:{seaweed_server.port}"
    store = S3Store(replace(bucket_in(seaweed_server, bucket, "public"), public_endpoint=public))
    place = Place(store, seaweed_server.port)
    key = place.new_key()
    request = store.put_request(key, len(BODY), SHA256, HOUR)
    assert request.url.startswith(f"{public}/{bucket}/public/{key}?")
    target = urlsplit(request.url)
    connection = http.client.HTTPConnection("localhost", target.port, timeout=20)
    connection.request("PUT", f"{target.path}?{target.query}", BODY, dict(request.headers))
    assert connection.getresponse().status == 200
    connection.close()
    assert place.content(key) == BODY


@pytest.mark.parametrize(
    ("bucket", "start"),
    [
        (
            Bucket("yard", "p", None, None, "eu-central-1", False),
            "https://yard.s3.eu-central-1.amazonaws.com/p/models/",
        ),
        (Bucket("yard", "", None, None, "us-east-1", False), "https://yard.s3.amazonaws.com/models/"),
        (
            Bucket("yard", "", "https://s3.x:9000", "https://s3.x:9000", path_style=True),
            "https://s3.x:9000/yard/models/",
        ),
        (Bucket("yard", "", "https://r2.x", "https://r2.x", path_style=False), "https://yard.r2.x/models/"),
    ],
    ids=["aws", "aws in its first region", "path style", "host style"],
)
def test_the_bucket_is_where_its_service_puts_it(bucket: Bucket, start: str) -> None:
    store = S3Store(replace(bucket, access_key="key", secret_key="s" * 20))
    key = "models/01234567-89ab-cdef-0123-456789abcdef/01234567-89ab-cdef-0123-456789abcdef"
    assert store.put_request(key, 5, None, HOUR).url.startswith(start)


def test_prefixes_keep_registries_in_one_bucket_apart(seaweed_server: RunningSeaweed, bucket: str) -> None:
    places = [
        Place(S3Store(bucket_in(seaweed_server, bucket, prefix)), seaweed_server.port, 5 << 20)
        for prefix in ("one", "one/more", "on")
    ]
    key = places[0].new_key()
    for number, place in enumerate(places):
        assert place.put(key, b"%d" % number).status == 200
        upload = place.store.start(place.new_key(), 5, 5 << 20)
        assert upload
    for number, place in enumerate(places):
        assert place.content(key) == b"%d" % number
        assert [found.key for found in place.store.keys("models/")] == [key]


def test_without_credentials_nothing_is_signed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    store = S3Store(Bucket("yard", endpoint="http://127.0.0.1:1"))
    with pytest.raises(StoreUnavailable, match="no credentials"):
        store.put_request(Place(store, 1).new_key(), 5, None, HOUR)


def test_a_secret_key_is_not_shown() -> None:
    bucket = Bucket("yard", secret_key="the secret")
    assert "the secret" not in repr(bucket)
