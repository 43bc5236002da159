"""Signed URLs bent in every way, and keys that were never handed out: refused, and nothing is left behind."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx2
import pytest

from modelyard.server.storage.local import LocalStore
from tests.attacks.untouched import tree
from tests.server.places import only_on
from tests.server.world import Someone, World, a_model_file, hash_of

OTHER_BYTES = 64
pytestmark = only_on("folder", reason="these are attacks on the embedded store; a bucket has its own")


@pytest.fixture
def folder(world: World) -> Path:
    return world.parts.settings.data_dir


def _put(world: World, url: str, content: bytes, headers: dict[str, str]) -> httpx2.Response:
    return world.client.put(url, content=content, headers=headers)


def _ticket(caller: Someone, content: bytes, **changed: Any) -> dict[str, Any]:
    answer = caller.presign(content, **changed)
    assert answer.status_code == 200, answer.text
    ticket: dict[str, Any] = answer.json()
    return ticket


def _bent(url: str) -> Iterator[str]:
    """The URL with each parameter changed, dropped, doubled, emptied and moved, and with another path."""
    address, _, query = url.partition("?")
    pairs = query.split("&")
    for place, pair in enumerate(pairs):
        name, _, value = pair.partition("=")
        others = pairs[:place] + pairs[place + 1 :]
        yield f"{address}?{'&'.join(others)}"
        yield f"{address}?{'&'.join([*pairs, pair])}"
        yield (
            f"{address}?{'&'.join([*others, pair])}"
            if place < len(pairs) - 1
            else f"{address}?{'&'.join([pair, *others])}"
        )
        for bad in ("", value[:-1], value + "0", "0", "%30" + value, value.swapcase() + "x", "9999999999", "-1", "٣"):
            yield f"{address}?{'&'.join([*pairs[:place], f'{name}={bad}', *pairs[place + 1 :]])}"
        for digit in range(len(value)):
            flipped = value[:digit] + ("1" if value[digit] != "1" else "2") + value[digit + 1 :]
            yield f"{address}?{'&'.join([*pairs[:place], f'{name}={flipped}', *pairs[place + 1 :]])}"
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


def _means_the_same(bent: str, url: str) -> bool:
    """A fragment is never sent, and dots are resolved by the client: then it is the URL itself."""
    return str(httpx2.URL(bent).copy_with(fragment=None)) == str(httpx2.URL(url))


def test_a_url_changed_in_any_way_is_refused_and_leaves_nothing(world: World, folder: Path) -> None:
    content = a_model_file()
    ticket = _ticket(world.owner, content, file_hash=hash_of(content))
    before, tried = tree(folder), 0
    for url in _bent(ticket["upload_url"]):
        if _means_the_same(url, ticket["upload_url"]):
            continue
        answer = _put(world, url, content, ticket["upload_headers"])
        assert answer.status_code in (403, 404), (url, answer.status_code, answer.text)
        tried += 1
    assert tried > 150
    assert tree(folder) == before
    assert _put(world, ticket["upload_url"], content, ticket["upload_headers"]).status_code == 200


def test_a_download_url_changed_in_any_way_is_refused(world: World) -> None:
    model_id = world.owner.register()
    url = world.owner.get(f"/models/{model_id}/download", redirect="false").json()["download_url"]
    for bent in _bent(url):
        if not _means_the_same(bent, url):
            assert world.client.get(bent).status_code in (403, 404), bent


def test_a_url_is_good_for_its_own_method_only(world: World, folder: Path) -> None:
    content = a_model_file()
    model_id = world.owner.register(content)
    get = world.owner.get(f"/models/{model_id}/download", redirect="false").json()["download_url"]
    ticket = _ticket(world.owner, content)
    before = tree(folder)
    assert world.client.get(ticket["upload_url"]).status_code == 403
    assert world.client.put(get, content=content, headers=ticket["upload_headers"]).status_code in (400, 403)
    for method in ("POST", "PATCH", "DELETE", "OPTIONS", "TRACE"):
        assert world.client.request(method, get).status_code == 405
        assert world.client.request(method, ticket["upload_url"], content=content).status_code == 405
    assert tree(folder) == before


def _wrong_bodies(content: bytes) -> dict[str, bytes]:
    return {
        "longer": content + b"x",
        "much longer": content * 1000,
        "shorter": content[:-1],
        "empty": b"",
        "other bytes of this length": bytes(len(content)),
    }


@pytest.mark.parametrize("kind", _wrong_bodies(b"x"))
def test_a_body_that_is_not_the_signed_one_is_refused_and_leaves_nothing(world: World, folder: Path, kind: str) -> None:
    content = a_model_file()
    ticket = _ticket(world.owner, content, file_hash=hash_of(content))
    before = tree(folder)
    body = _wrong_bodies(content)[kind]
    honest = ticket["upload_headers"] | {"Content-Length": str(len(body))}
    assert _put(world, ticket["upload_url"], body, honest).status_code == 400
    assert tree(folder) == before


def test_a_signed_header_that_is_missing_or_another_is_refused_and_leaves_nothing(world: World, folder: Path) -> None:
    content = a_model_file()
    ticket = _ticket(world.owner, content, file_hash=hash_of(content))
    other = hashlib.sha256(b"other").hexdigest()
    before = tree(folder)
    for name in ("If-None-Match", "x-amz-checksum-sha256"):
        kept = {key: value for key, value in ticket["upload_headers"].items() if key != name}
        for value in (None, "", "x", "*, *", other):
            headers = kept if value is None else kept | {name: value}
            assert _put(world, ticket["upload_url"], content, headers).status_code == 403, (name, value)
    without = _ticket(world.owner, content)
    added = without["upload_headers"] | {"x-amz-checksum-sha256": ticket["upload_headers"]["x-amz-checksum-sha256"]}
    assert _put(world, without["upload_url"], content, added).status_code == 403
    assert tree(folder) == before


def test_an_expired_url_is_refused_and_leaves_nothing(world: World, folder: Path) -> None:
    content = a_model_file()
    model_id = world.owner.register(content)
    get = world.owner.get(f"/models/{model_id}/download", redirect="false").json()["download_url"]
    ticket = _ticket(world.owner, content)
    store = world.parts.store
    assert isinstance(store, LocalStore)
    before, clock = tree(folder), store.now
    store.now = lambda: clock() + 3600 + 61
    expired = _put(world, ticket["upload_url"], content, ticket["upload_headers"])
    assert (expired.status_code, expired.json()["error_code"]) == (403, "url_expired")
    assert world.client.get(get).json()["error_code"] == "url_expired"
    assert tree(folder) == before


def test_a_replayed_put_never_changes_what_is_served(world: World) -> None:
    content = a_model_file()
    ticket = _ticket(world.owner, content)
    evil = bytes(len(content))

    def replay() -> int:
        return _put(world, ticket["upload_url"], evil, ticket["upload_headers"]).status_code

    assert _put(world, ticket["upload_url"], content, ticket["upload_headers"]).status_code == 200
    assert replay() == 412
    body = world.owner.new_model(content, storage_key=ticket["storage_key"])
    model_id = world.owner.post("/models", **body).json()["id"]
    assert [replay() for _ in range(20)] == [412] * 20
    get = world.owner.get(f"/models/{model_id}/download", redirect="false").json()["download_url"]
    assert world.client.get(get).content == content
    world.owner.delete(f"/models/{model_id}")
    assert replay() == 412


def test_a_put_is_refused_once_the_bytes_came_in_parts(world: World, folder: Path) -> None:
    content = a_model_file()
    ticket = _ticket(world.owner, content)
    begun = world.owner.post(
        "/uploads/multipart/initiate", storage_key=ticket["storage_key"], file_size=len(content)
    ).json()
    both = {"storage_key": ticket["storage_key"], "upload_id": begun["upload_id"]}
    [part] = world.owner.post("/uploads/multipart/presign", **both, part_numbers=[1]).json()["part_list"]
    etag = _put(world, part["upload_url"], content, part["upload_headers"]).headers["etag"]
    done = world.owner.post("/uploads/multipart/complete", **both, part_list=[{"part_number": 1, "etag": etag}])
    assert done.json() == {"is_success": True}
    before = tree(folder)
    assert _put(world, ticket["upload_url"], bytes(len(content)), ticket["upload_headers"]).status_code == 412
    assert _put(world, part["upload_url"], bytes(len(content)), part["upload_headers"]).status_code == 404
    assert tree(folder) == before


def test_bent_part_urls_are_refused_and_leave_the_part_as_it_was(world: World, folder: Path) -> None:
    content = a_model_file()
    ticket = _ticket(world.owner, content)
    begun = world.owner.post(
        "/uploads/multipart/initiate", storage_key=ticket["storage_key"], file_size=len(content)
    ).json()
    both = {"storage_key": ticket["storage_key"], "upload_id": begun["upload_id"]}
    [part] = world.owner.post("/uploads/multipart/presign", **both, part_numbers=[1]).json()["part_list"]
    before = tree(folder)
    for url in _bent(part["upload_url"]):
        if not _means_the_same(url, part["upload_url"]):
            assert _put(world, url, content, part["upload_headers"]).status_code in (403, 404), url
    for body in (content + b"x", content[:-1], b""):
        wrong = part["upload_headers"] | {"Content-Length": str(len(body))}
        assert _put(world, part["upload_url"], body, wrong).status_code == 400
    assert tree(folder) == before
    assert world.owner.call("GET", "/uploads/multipart/parts", params=both).json() == {"part_list": []}


def _forged_keys(own: str) -> list[str]:
    team, upload = own.split("/")[1:]
    swapped = [
        f"models/{upload}/{team}",
        f"models/{team}",
        f"models/{team}/",
        f"/models/{team}/{upload}",
        f"{own}/",
        f"{own}/bytes",
    ]
    swapped += [
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
    return swapped + places + ["models/%", "models/_", "' OR 1=1 --", "models/*", "\ud7ff", "x" * 512]


def test_forged_and_foreign_keys_name_no_upload_and_touch_nothing(world: World, folder: Path) -> None:
    content = a_model_file()
    own = world.owner.upload(content)
    stranger = world.other_team()
    before = tree(folder)
    for caller, keys in ((world.owner, _forged_keys(own)), (stranger, [own])):
        for key in keys:
            body = world.owner.new_model(content, storage_key=key)
            answers = [caller.post("/models", **body)]
            answers.append(caller.post("/uploads/multipart/initiate", storage_key=key, file_size=len(content)))
            answers.append(caller.post("/uploads/multipart/abort", storage_key=key, upload_id="x"))
            answers.append(caller.get("/uploads/multipart/parts", storage_key=key, upload_id="x"))
            found = {(answer.status_code, answer.json()["error_code"]) for answer in answers}
            assert found == {(404, "upload_not_found")}, (key, found)
    assert tree(folder) == before


def test_a_foreign_key_is_refused_in_the_same_words_as_an_unknown_one(world: World) -> None:
    content = a_model_file()
    foreign, stranger = world.owner.upload(content), world.other_team()
    unknown = f"models/{stranger.team_id}/{foreign.rsplit('/', 1)[-1]}"
    seen = []
    for key in (foreign, unknown):
        problem = stranger.post("/models", **stranger.new_model(content, storage_key=key)).json()
        seen.append({name: value for name, value in problem.items() if name != "request_id"})
    assert seen[0] == seen[1]


def test_signed_urls_carry_no_more_than_they_need(world: World) -> None:
    ticket = _ticket(world.owner, a_model_file())
    assert {name for name, _ in parse_qsl(urlsplit(ticket["upload_url"]).query)} == {"expires", "size", "signature"}
