"""The signed URLs of a bucket, as clients and attackers use them, on SeaweedFS, which checks them all."""

import hashlib
import http.client
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import parse_qsl, urlsplit

import pytest

from modelyard.server.storage.blob_store import NoSuchUpload, StoreUnavailable
from modelyard.server.storage.s3.store import Bucket, S3Store
from tests.seaweed import RunningSeaweed
from tests.server.storage.served_store import HOUR, ServedStore, bucket_in
from tests.waiting import PATIENCE_SECONDS

BODY = b"the bytes of a model"
SHA256 = hashlib.sha256(BODY).hexdigest()


def mutations(url: str) -> Iterator[str]:
    """Yield the URL with each field of its query changed, and with each removed."""
    path, _, query = url.partition("?")
    fields = query.split("&")
    for n, field in enumerate(fields):
        changed = field[:-1] + ("1" if field[-1] != "1" else "2")
        yield f"{path}?{'&'.join([*fields[:n], changed, *fields[n + 1 :]])}"
        # Without any of these a request is no longer a signed one, or is signed for another one.
        yield f"{path}?{'&'.join([*fields[:n], *fields[n + 1 :]])}"


def test_upload_url_with_any_change_is_refused(seaweed_served_store: ServedStore) -> None:
    key = seaweed_served_store.new_key()
    request = seaweed_served_store.store.presign_put(key, len(BODY), SHA256, HOUR)
    for changed in mutations(request.url):
        # A field that cannot even be read is a bad request (400) in place of a forbidden one.
        answer = seaweed_served_store.ask("PUT", changed, request.headers, BODY)
        assert (changed, answer.status in {400, 403}) == (changed, True)
    assert seaweed_served_store.store.stat(key) is None


def test_part_url_with_any_change_is_refused(seaweed_served_store: ServedStore) -> None:
    key = seaweed_served_store.new_key()
    upload = seaweed_served_store.store.start_multipart(key, len(BODY), 5 << 20)
    request = seaweed_served_store.store.presign_part(key, upload, 1, len(BODY), HOUR)
    for changed in mutations(request.url):
        answer = seaweed_served_store.ask("PUT", changed, request.headers, BODY)
        assert (changed, answer.status in {400, 403}) == (changed, True)
    assert seaweed_served_store.store.list_parts(key, upload) == []


def test_download_url_with_any_change_is_refused(seaweed_served_store: ServedStore) -> None:
    key = seaweed_served_store.new_key()
    seaweed_served_store.put(key, BODY)
    request = seaweed_served_store.store.presign_download(key, "ink.safetensors", SHA256, HOUR)
    assert seaweed_served_store.send(request).body == BODY
    for changed in mutations(request.url):
        assert (changed, seaweed_served_store.ask("GET", changed, {}).status in {400, 403}) == (changed, True)


@pytest.mark.parametrize("name", ["Content-Length", "If-None-Match", "x-amz-checksum-sha256"])
def test_presign_put_signs_required_headers(seaweed_served_store: ServedStore, name: str) -> None:
    request = seaweed_served_store.store.presign_put(seaweed_served_store.new_key(), len(BODY), SHA256, HOUR)
    query = dict(parse_qsl(urlsplit(request.url).query))
    assert name in request.headers
    assert name.lower() in query["X-Amz-SignedHeaders"].split(";")
    assert name.lower() not in {field.lower() for field in query}


@pytest.mark.parametrize("length", [len(BODY) - 1, len(BODY) + 1])
def test_put_part_of_other_length_is_refused(seaweed_served_store: ServedStore, length: int) -> None:
    key = seaweed_served_store.new_key()
    upload = seaweed_served_store.store.start_multipart(key, len(BODY), 5 << 20)
    request = seaweed_served_store.store.presign_part(key, upload, 1, len(BODY), HOUR)
    answer = seaweed_served_store.send(request, (BODY + b"more")[:length], content_length=str(length))
    assert answer.status == 403
    assert seaweed_served_store.store.list_parts(key, upload) == []


def test_put_other_checksum_than_signed_is_refused(seaweed_served_store: ServedStore) -> None:
    key, other = seaweed_served_store.new_key(), b"x" * len(BODY)
    request = seaweed_served_store.store.presign_put(key, len(BODY), SHA256, HOUR)
    with_other = seaweed_served_store.store.presign_put(key, len(BODY), hashlib.sha256(other).hexdigest(), HOUR)
    assert seaweed_served_store.ask("PUT", request.url, with_other.headers, other).status == 403
    assert seaweed_served_store.store.stat(key) is None


def test_signed_url_with_other_method_is_refused(seaweed_served_store: ServedStore) -> None:
    key = seaweed_served_store.new_key()
    seaweed_served_store.put(key, BODY)
    download = seaweed_served_store.store.presign_download(key, "ink.safetensors", SHA256, HOUR)
    for method in ("PUT", "DELETE", "POST"):
        assert seaweed_served_store.ask(method, download.url, {"Content-Length": "0"}).status in {403, 405}
    assert seaweed_served_store.content(key) == BODY


def test_put_part_of_closed_upload_returns_404(seaweed_served_store: ServedStore) -> None:
    key = seaweed_served_store.new_key()
    upload = seaweed_served_store.store.start_multipart(key, len(BODY), 5 << 20)
    request = seaweed_served_store.store.presign_part(key, upload, 1, len(BODY), HOUR)
    seaweed_served_store.store.abort_multipart(key, upload)
    assert seaweed_served_store.send(request, BODY).status == 404
    with pytest.raises(NoSuchUpload):
        seaweed_served_store.store.list_parts(key, upload)


@pytest.mark.parametrize(
    ("name", "disposition"),
    [
        ("ink.safetensors", "attachment; filename=\"ink.safetensors\"; filename*=UTF-8''ink.safetensors"),
        ('größe 2".pt', "attachment; filename=\"gr__e 2_.pt\"; filename*=UTF-8''gr%C3%B6%C3%9Fe%202%22.pt"),
        ("a&b=c;d+e.pt", "attachment; filename=\"a_b_c_d_e.pt\"; filename*=UTF-8''a%26b%3Dc%3Bd%2Be.pt"),
    ],
)
def test_download_returns_attachment_with_file_name(
    seaweed_served_store: ServedStore, name: str, disposition: str
) -> None:
    key = seaweed_served_store.new_key()
    seaweed_served_store.put(key, BODY)
    answer = seaweed_served_store.get(key, name=name)
    assert answer.headers["content-disposition"] == disposition
    assert answer.headers["content-type"] == "application/octet-stream"


def test_presign_with_public_endpoint_uses_it(seaweed_server: RunningSeaweed, bucket: str) -> None:
    public = f"http://localhost:{seaweed_server.port}"
    store = S3Store(replace(bucket_in(seaweed_server, bucket, "public"), public_endpoint=public))
    served_store = ServedStore(store, seaweed_server.port)
    key = served_store.new_key()
    request = store.presign_put(key, len(BODY), SHA256, HOUR)
    assert request.url.startswith(f"{public}/{bucket}/public/{key}?")
    target = urlsplit(request.url)
    connection = http.client.HTTPConnection("localhost", target.port, timeout=PATIENCE_SECONDS)
    connection.request("PUT", f"{target.path}?{target.query}", BODY, dict(request.headers))
    assert connection.getresponse().status == 200
    connection.close()
    assert served_store.content(key) == BODY


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
def test_presign_uses_address_style_of_service(bucket: Bucket, start: str) -> None:
    store = S3Store(replace(bucket, access_key="key", secret_key="s" * 20))
    key = "models/01234567-89ab-cdef-0123-456789abcdef/01234567-89ab-cdef-0123-456789abcdef"
    assert store.presign_put(key, 5, None, HOUR).url.startswith(start)


def test_stores_with_different_prefixes_do_not_share_keys(seaweed_server: RunningSeaweed, bucket: str) -> None:
    places = [
        ServedStore(S3Store(bucket_in(seaweed_server, bucket, prefix)), seaweed_server.port, 5 << 20)
        for prefix in ("one", "one/more", "on")
    ]
    key = places[0].new_key()
    for number, served_store in enumerate(places):
        assert served_store.put(key, b"%d" % number).status == 200
        upload = served_store.store.start_multipart(served_store.new_key(), 5, 5 << 20)
        assert upload
    for number, served_store in enumerate(places):
        assert served_store.content(key) == b"%d" % number
        assert [found.key for found in served_store.store.list_keys("models/")] == [key]


def test_presign_without_credentials_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    store = S3Store(Bucket("yard", endpoint="http://127.0.0.1:1"))
    with pytest.raises(StoreUnavailable, match="no credentials"):
        store.presign_put(ServedStore(store, 1).new_key(), 5, None, HOUR)


def test_repr_bucket_omits_secret_key() -> None:
    bucket = Bucket("yard", secret_key="the secret")
    assert "the secret" not in repr(bucket)
