"""Changed signed URLs, expired URLs, replays and forged storage keys: refused, and no file is left behind."""

import hashlib
import os
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx2
import pytest

from modelyard.server.storage.local.store import LocalStore
from tests.attacks.state_snapshot import list_store_files
from tests.running import RunningServer
from tests.server.environments import only_on
from tests.server.harness import ApiCaller, Harness, hash_of, make_model_file

pytestmark = [
    pytest.mark.slow,
    only_on("folder", reason="these are attacks on the embedded store; a bucket has its own protection"),
]


@pytest.fixture
def data_dir(registry: Harness) -> Path:
    return registry.resources.settings.data_dir


def _put(registry: Harness, url: str, content: bytes, headers: dict[str, str]) -> httpx2.Response:
    return registry.client.put(url, content=content, headers=headers)


def _presign(caller: ApiCaller, content: bytes, **changed: Any) -> dict[str, Any]:
    """Presign an upload and return the ticket; fail unless that succeeds."""
    response = caller.presign(content, **changed)
    assert response.status_code == 200, response.text
    ticket: dict[str, Any] = response.json()
    return ticket


def _generate_changed_urls(url: str) -> Iterator[str]:
    """Generate variants of a URL: each parameter changed, dropped, doubled, emptied and moved, and other paths."""
    address, _, query = url.partition("?")
    pairs = query.split("&")
    for position, pair in enumerate(pairs):
        name, _, value = pair.partition("=")
        others = pairs[:position] + pairs[position + 1 :]
        yield f"{address}?{'&'.join(others)}"
        yield f"{address}?{'&'.join([*pairs, pair])}"
        yield (
            f"{address}?{'&'.join([*others, pair])}"
            if position < len(pairs) - 1
            else f"{address}?{'&'.join([pair, *others])}"
        )
        for bad in ("", value[:-1], value + "0", "0", "%30" + value, value.swapcase() + "x", "9999999999", "-1", "٣"):
            yield f"{address}?{'&'.join([*pairs[:position], f'{name}={bad}', *pairs[position + 1 :]])}"
        for digit in range(len(value)):
            flipped = value[:digit] + ("1" if value[digit] != "1" else "2") + value[digit + 1 :]
            yield f"{address}?{'&'.join([*pairs[:position], f'{name}={flipped}', *pairs[position + 1 :]])}"
    yield from (
        url + more
        for more in ("&x=1", "&size=1", "&part=1", "&upload=" + "0" * 32, "&", "#x&y=1", "%00", "&name=x.html")
    )
    for old, new in (
        ("/blobs/", "/blobs//"),
        ("/models/", "/models/../models/"),
        ("/models/", "/models/./"),
        ("/models/", "/%6dodels/"),
    ):
        yield url.replace(old, new, 1)
    yield f"{address}/x?{query}"
    yield f"{address[:-1]}{'0' if address[-1] != '0' else '1'}?{query}"


def _is_same_request(changed_url: str, url: str) -> bool:
    """Return whether a client sends the same request for both: fragments are not sent, dots are resolved."""
    return str(httpx2.URL(changed_url).copy_with(fragment=None)) == str(httpx2.URL(url))


def test_announce_more_than_disk_holds_leaves_space_for_other_teams(server: RunningServer) -> None:
    owner = server.owner()
    disk = os.statvfs(server.data_dir)
    free = disk.f_bavail * disk.f_frsize
    size = free * 6 // 10
    for number in range(5):
        ticket = owner.presign(b"", f"loras/{number}.safetensors", file_size=size).json()
        initiated = owner.post("/uploads/multipart/initiate", storage_key=ticket["storage_key"], file_size=size)
        assert initiated.status_code == 200, initiated.text
    whole_file = owner.presign(b"", "loras/whole.safetensors", file_size=size).json()
    url = urlsplit(whole_file["upload_url"])
    with closing(socket.create_connection((str(url.hostname), url.port or 80))) as stalled:
        lines = [f"PUT {url.path}?{url.query} HTTP/1.1", f"Host: {url.netloc}"]
        lines += [f"{name}: {value}" for name, value in whole_file["upload_headers"].items()]
        stalled.sendall("\r\n".join([*lines, "", ""]).encode() + b"x" * 65536)
        other = server.create_team()
        assert other.presign(b"", "loras/large.safetensors", file_size=size).status_code == 200
        assert other.register(make_model_file("other"))
        disk = os.statvfs(server.data_dir)
        assert disk.f_bavail * disk.f_frsize > free * 9 // 10


def test_put_changed_url_is_refused_and_leaves_nothing(registry: Harness, data_dir: Path) -> None:
    content = make_model_file()
    ticket = _presign(registry.owner, content, file_hash=hash_of(content))
    before, tried = list_store_files(data_dir), 0
    for url in _generate_changed_urls(ticket["upload_url"]):
        if _is_same_request(url, ticket["upload_url"]):
            continue
        response = _put(registry, url, content, ticket["upload_headers"])
        assert response.status_code in (403, 404), (url, response.status_code, response.text)
        tried += 1
    assert tried > 150
    assert list_store_files(data_dir) == before
    assert _put(registry, ticket["upload_url"], content, ticket["upload_headers"]).status_code == 200


def test_get_changed_download_url_is_refused(registry: Harness) -> None:
    model_id = registry.owner.register()
    url = registry.owner.get(f"/models/{model_id}/download", redirect="false").json()["download_url"]
    for changed_url in _generate_changed_urls(url):
        if not _is_same_request(changed_url, url):
            assert registry.client.get(changed_url).status_code in (403, 404), changed_url


def test_signed_url_with_any_other_method_is_refused(registry: Harness, data_dir: Path) -> None:
    content = make_model_file()
    model_id = registry.owner.register(content)
    get = registry.owner.get(f"/models/{model_id}/download", redirect="false").json()["download_url"]
    ticket = _presign(registry.owner, content)
    before = list_store_files(data_dir)
    assert registry.client.get(ticket["upload_url"]).status_code == 403
    assert registry.client.put(get, content=content, headers=ticket["upload_headers"]).status_code in (400, 403)
    for method in ("POST", "PATCH", "DELETE", "OPTIONS", "TRACE"):
        assert registry.client.request(method, get).status_code == 405
        assert registry.client.request(method, ticket["upload_url"], content=content).status_code == 405
    assert list_store_files(data_dir) == before


def _wrong_bodies(content: bytes) -> dict[str, bytes]:
    """Return bodies that differ from the content in length or in bytes, by description."""
    return {
        "longer": content + b"x",
        "much longer": content * 1000,
        "shorter": content[:-1],
        "empty": b"",
        "other bytes of this length": bytes(len(content)),
    }


@pytest.mark.parametrize("kind", _wrong_bodies(b"x"))
def test_put_other_body_than_signed_is_refused_and_leaves_nothing(registry: Harness, data_dir: Path, kind: str) -> None:
    content = make_model_file()
    ticket = _presign(registry.owner, content, file_hash=hash_of(content))
    before = list_store_files(data_dir)
    body = _wrong_bodies(content)[kind]
    matching_headers = ticket["upload_headers"] | {"Content-Length": str(len(body))}
    assert _put(registry, ticket["upload_url"], body, matching_headers).status_code == 400
    assert list_store_files(data_dir) == before


def test_put_missing_or_changed_signed_header_is_refused_and_leaves_nothing(registry: Harness, data_dir: Path) -> None:
    content = make_model_file()
    ticket = _presign(registry.owner, content, file_hash=hash_of(content))
    other = hashlib.sha256(b"other").hexdigest()
    before = list_store_files(data_dir)
    for name in ("If-None-Match", "x-amz-checksum-sha256"):
        kept = {key: value for key, value in ticket["upload_headers"].items() if key != name}
        for value in (None, "", "x", "*, *", other):
            headers = kept if value is None else kept | {name: value}
            assert _put(registry, ticket["upload_url"], content, headers).status_code == 403, (name, value)
    without = _presign(registry.owner, content)
    added = without["upload_headers"] | {"x-amz-checksum-sha256": ticket["upload_headers"]["x-amz-checksum-sha256"]}
    assert _put(registry, without["upload_url"], content, added).status_code == 403
    assert list_store_files(data_dir) == before


def test_put_expired_url_is_refused_and_leaves_nothing(registry: Harness, data_dir: Path) -> None:
    content = make_model_file()
    model_id = registry.owner.register(content)
    get = registry.owner.get(f"/models/{model_id}/download", redirect="false").json()["download_url"]
    ticket = _presign(registry.owner, content)
    store = registry.resources.store
    assert isinstance(store, LocalStore)
    before, clock = list_store_files(data_dir), store.now
    store.now = lambda: clock() + 3600 + 61
    expired = _put(registry, ticket["upload_url"], content, ticket["upload_headers"])
    assert (expired.status_code, expired.json()["error_code"]) == (403, "url_expired")
    assert registry.client.get(get).json()["error_code"] == "url_expired"
    assert list_store_files(data_dir) == before


def test_replayed_put_does_not_change_served_bytes(registry: Harness) -> None:
    content = make_model_file()
    ticket = _presign(registry.owner, content)
    other_content = bytes(len(content))

    def replay() -> int:
        return _put(registry, ticket["upload_url"], other_content, ticket["upload_headers"]).status_code

    assert _put(registry, ticket["upload_url"], content, ticket["upload_headers"]).status_code == 200
    assert replay() == 412
    body = registry.owner.new_model(content, storage_key=ticket["storage_key"])
    model_id = registry.owner.post("/models", **body).json()["id"]
    assert [replay() for _ in range(20)] == [412] * 20
    get = registry.owner.get(f"/models/{model_id}/download", redirect="false").json()["download_url"]
    assert registry.client.get(get).content == content
    registry.owner.delete(f"/models/{model_id}")
    assert replay() == 412


def test_put_after_multipart_finish_is_refused(registry: Harness, data_dir: Path) -> None:
    content = make_model_file()
    ticket = _presign(registry.owner, content)
    initiated = registry.owner.post(
        "/uploads/multipart/initiate", storage_key=ticket["storage_key"], file_size=len(content)
    ).json()
    upload_ids = {"storage_key": ticket["storage_key"], "upload_id": initiated["upload_id"]}
    [part] = registry.owner.post("/uploads/multipart/presign", **upload_ids, part_numbers=[1]).json()["part_list"]
    etag = _put(registry, part["upload_url"], content, part["upload_headers"]).headers["etag"]
    completed = registry.owner.post(
        "/uploads/multipart/complete", **upload_ids, part_list=[{"part_number": 1, "etag": etag}]
    )
    assert completed.json() == {"is_success": True}
    before = list_store_files(data_dir)
    assert _put(registry, ticket["upload_url"], bytes(len(content)), ticket["upload_headers"]).status_code == 412
    assert _put(registry, part["upload_url"], bytes(len(content)), part["upload_headers"]).status_code == 404
    assert list_store_files(data_dir) == before


def test_put_changed_part_url_is_refused_and_keeps_part(registry: Harness, data_dir: Path) -> None:
    content = make_model_file()
    ticket = _presign(registry.owner, content)
    initiated = registry.owner.post(
        "/uploads/multipart/initiate", storage_key=ticket["storage_key"], file_size=len(content)
    ).json()
    upload_ids = {"storage_key": ticket["storage_key"], "upload_id": initiated["upload_id"]}
    [part] = registry.owner.post("/uploads/multipart/presign", **upload_ids, part_numbers=[1]).json()["part_list"]
    before = list_store_files(data_dir)
    for url in _generate_changed_urls(part["upload_url"]):
        if not _is_same_request(url, part["upload_url"]):
            assert _put(registry, url, content, part["upload_headers"]).status_code in (403, 404), url
    for body in (content + b"x", content[:-1], b""):
        wrong = part["upload_headers"] | {"Content-Length": str(len(body))}
        assert _put(registry, part["upload_url"], body, wrong).status_code == 400
    assert list_store_files(data_dir) == before
    assert registry.owner.call("GET", "/uploads/multipart/parts", params=upload_ids).json() == {"part_list": []}


def _build_forged_keys(own: str) -> list[str]:
    """Build invalid storage keys: variants of a valid key, file paths, URLs and wildcards."""
    team, upload = own.split("/")[1:]
    changed_keys = [
        f"models/{upload}/{team}",
        f"models/{team}",
        f"models/{team}/",
        f"/models/{team}/{upload}",
        f"{own}/",
        f"{own}/bytes",
    ]
    changed_keys += [
        f"models/{team}/../{team}/{upload}",
        f"models//{team}/{upload}",
        own.upper(),
        own.replace("-", ""),
        f" {own}",
        f"{own}\x00",
    ]
    places = [
        "../modelyard.sqlite3",
        "/etc/passwd",
        "file:///etc/passwd",
        "s3://bucket/key",
        "..\\..\\x",
        "%2e%2e/x",
        "lock",
        "objects",
    ]
    return changed_keys + places + ["models/%", "models/_", "' OR 1=1 --", "models/*", "\ud7ff", "x" * 512]


def test_use_forged_or_foreign_storage_key_is_refused(registry: Harness, data_dir: Path) -> None:
    content = make_model_file()
    own = registry.owner.upload(content)
    stranger = registry.create_other_team()
    before = list_store_files(data_dir)
    for caller, keys in ((registry.owner, _build_forged_keys(own)), (stranger, [own])):
        for key in keys:
            body = registry.owner.new_model(content, storage_key=key)
            responses = [caller.post("/models", **body)]
            responses.append(caller.post("/uploads/multipart/initiate", storage_key=key, file_size=len(content)))
            responses.append(caller.post("/uploads/multipart/abort", storage_key=key, upload_id="x"))
            responses.append(caller.get("/uploads/multipart/parts", storage_key=key, upload_id="x"))
            results = {(response.status_code, response.json()["error_code"]) for response in responses}
            assert results == {(404, "upload_not_found")}, (key, results)
    assert list_store_files(data_dir) == before


def test_foreign_and_unknown_storage_key_get_same_problem(registry: Harness) -> None:
    content = make_model_file()
    foreign, stranger = registry.owner.upload(content), registry.create_other_team()
    unknown = f"models/{stranger.team_id}/{foreign.rsplit('/', 1)[-1]}"
    problems = []
    for key in (foreign, unknown):
        problem = stranger.post("/models", **stranger.new_model(content, storage_key=key)).json()
        problems.append({name: value for name, value in problem.items() if name != "request_id"})
    assert problems[0] == problems[1]


def test_signed_url_contains_only_required_parameters(registry: Harness) -> None:
    ticket = _presign(registry.owner, make_model_file())
    assert {name for name, _ in parse_qsl(urlsplit(ticket["upload_url"]).query)} == {"expires", "size", "signature"}
