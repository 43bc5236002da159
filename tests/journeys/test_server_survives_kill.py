"""The server, killed after every single change that an operation makes on its disk: nothing acknowledged is lost."""

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from tests.journeys.sizes import MEBIBYTE, PART_SIZE
from tests.journeys.sweep import Sweep, Try
from tests.journeys.swift import SwiftServer

TWO_PARTS = PART_SIZE + MEBIBYTE // 4
LOG = "-wal>"


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sweep]:
    with SwiftServer(tmp_path_factory.mktemp("killed") / "data", part_size=str(PART_SIZE)) as server:
        yield Sweep(server)


def send(sweep: Sweep, request: dict[str, Any], content: bytes) -> httpx2.Response:
    """Follow a signed request."""
    return sweep.who.client.put(request["upload_url"], content=content, headers=request["upload_headers"])


class Parts:
    """A file that goes up in two parts."""

    def __init__(self, sweep: Sweep) -> None:
        self.sweep = sweep
        self.content, self.path = sweep.new_file(TWO_PARTS)
        self.key = sweep.who.presign(self.content, self.path).json()["storage_key"]
        self.names: dict[str, str] = {}

    def begin(self) -> httpx2.Response:
        return self.sweep.who.post("/uploads/multipart/initiate", storage_key=self.key, file_size=len(self.content))

    def begun(self) -> "Parts":
        self.names = {"storage_key": self.key, "upload_id": self.begin().json()["upload_id"]}
        return self

    def part(self, number: int) -> bytes:
        return self.content[(number - 1) * PART_SIZE :][:PART_SIZE]

    def send(self, number: int, other: bytes | None = None) -> httpx2.Response:
        signed = self.sweep.who.post("/uploads/multipart/presign", **self.names, part_numbers=[number]).json()
        return send(self.sweep, signed["part_list"][0], self.part(number) if other is None else other)

    def listed(self) -> dict[int, str]:
        answer = self.sweep.who.get("/uploads/multipart/parts", **self.names)
        assert answer.status_code == 200, answer.text
        return {part["part_number"]: part["etag"].strip('"') for part in answer.json()["part_list"]}

    def stored(self, number: int) -> bytes:
        """What the folder holds where this part goes."""
        file = self.sweep.server.data_dir / "uploads" / self.names["upload_id"] / "bytes"
        return file.read_bytes()[(number - 1) * PART_SIZE :][:PART_SIZE]

    def complete(self) -> httpx2.Response:
        named = [{"part_number": number, "etag": etag} for number, etag in self.listed_once.items()]
        return self.sweep.who.post("/uploads/multipart/complete", **self.names, part_list=named)

    def become_a_model(self) -> None:
        """Send what is missing, complete, and register."""
        for number in {1, 2} - self.listed().keys():
            assert self.send(number).status_code == 200
        self.listed_once = self.listed()
        assert self.complete().status_code == 200
        self.sweep.acknowledged(self.sweep.register(self.content, self.path, self.key), self.content)

    listed_once: dict[int, str]


def test_presign_killed_at_any_step_gives_what_it_acknowledged(sweep: Sweep) -> None:
    def presign() -> Try:
        content, path = sweep.new_file()
        answer = yield lambda: sweep.who.presign(content, path)
        again = sweep.who.presign(content, path)
        assert again.status_code == 200
        ticket = (answer or again).json()
        assert send(sweep, ticket, content).status_code == 200
        sweep.acknowledged(sweep.register(content, path, ticket["storage_key"]), content)

    steps = sweep.kill_after_each_step(presign)

    assert any(step.startswith("fdatasync") and LOG in step for step in steps)
    sweep.check_everything()


def test_a_whole_file_killed_at_any_step_is_there_or_can_be_sent_again(sweep: Sweep) -> None:
    def put() -> Try:
        content, path = sweep.new_file()
        ticket = sweep.who.presign(content, path).json()
        answer = yield lambda: send(sweep, ticket, content)
        again = send(sweep, ticket, content)
        assert again.status_code in ([412] if answer else [200, 412])
        sweep.acknowledged(sweep.register(content, path, ticket["storage_key"]), content)

    steps = sweep.kill_after_each_step(put)

    assert any(step.startswith("rename") and "/objects/" in step for step in steps)
    sweep.check_everything()


def test_a_multipart_upload_killed_at_any_step_of_its_beginning_begins(sweep: Sweep) -> None:
    def begin() -> Try:
        parts = Parts(sweep)
        answer = yield parts.begin
        again = parts.begin()
        assert again.status_code == 200
        assert answer is None or answer.json() == again.json()
        parts.begun().become_a_model()

    steps = sweep.kill_after_each_step(begin)

    assert any(step.startswith("rename") and "/uploads/" in step for step in steps)
    assert any(step.startswith("fdatasync") and LOG in step for step in steps)
    sweep.check_everything()


def test_a_part_killed_at_any_step_is_listed_whole_or_not_at_all(sweep: Sweep) -> None:
    def send_second() -> Try:
        parts = Parts(sweep).begun()
        first = parts.send(1).headers["etag"].strip('"')
        answer = yield lambda: parts.send(2)
        listed = parts.listed()
        assert listed[1] == first
        assert answer is None or listed[2] == answer.headers["etag"].strip('"')
        if 2 in listed:
            assert parts.stored(2) == parts.part(2)
        parts.become_a_model()

    steps = sweep.kill_after_each_step(send_second)

    assert any("parts.log" in step for step in steps)
    sweep.check_everything()


def test_a_part_sent_again_and_killed_at_any_step_is_old_or_new_or_unlisted(sweep: Sweep) -> None:
    def send_again() -> Try:
        parts = Parts(sweep).begun()
        old = b"\xff" * len(parts.part(2))
        before = parts.send(2, old).headers["etag"].strip('"')
        answer = yield lambda: parts.send(2)
        listed = parts.listed()
        assert answer is None or listed[2] == answer.headers["etag"].strip('"')
        if 2 in listed:
            assert parts.stored(2) == (old if listed[2] == before else parts.part(2))
        assert parts.send(2).status_code == 200
        parts.become_a_model()

    steps = sweep.kill_after_each_step(send_again)

    assert sum(step.startswith("fsync") and "parts.log" in step for step in steps) == 2
    sweep.check_everything()


def test_completing_killed_at_any_step_can_be_repeated(sweep: Sweep) -> None:
    def complete() -> Try:
        parts = Parts(sweep).begun()
        parts.listed_once = {number: parts.send(number).headers["etag"] for number in (1, 2)}
        yield parts.complete
        assert parts.complete().status_code == 200
        sweep.acknowledged(sweep.register(parts.content, parts.path, parts.key), parts.content)

    steps = sweep.kill_after_each_step(complete)

    assert any(step.startswith("rename") and "/objects/" in step for step in steps)
    sweep.check_everything()


def test_registering_killed_at_any_step_and_repeated_gives_one_model_with_one_id(sweep: Sweep) -> None:
    def register() -> Try:
        content, path = sweep.new_file()
        key = sweep.who.upload(content, path)
        answer = yield lambda: sweep.register(content, path, key)
        found = sweep.at(path)
        assert answer is None or found == [answer.json()["id"]]
        again = sweep.register(content, path, key)
        sweep.acknowledged(again, content)
        assert sweep.at(path) == [again.json()["id"]]
        assert again.status_code == (200 if found else 201)
        assert found in ([], sweep.at(path))

    steps = sweep.kill_after_each_step(register)

    assert any(step.startswith("fdatasync") and LOG in step for step in steps)
    sweep.check_everything()


def test_replacing_killed_at_any_step_leaves_the_old_model_or_the_new_one(sweep: Sweep) -> None:
    def replace() -> Try:
        old, path = sweep.new_file()
        new, _ = sweep.new_file()
        before = sweep.register(old, path, sweep.who.upload(old, path))
        replaced = before.json()["id"]
        key = sweep.who.upload(new, path)
        answer = yield lambda: sweep.register(new, path, key, replaces=replaced)
        [found] = sweep.at(path)
        assert answer is None or found == answer.json()["id"]
        again = sweep.register(new, path, key, replaces=replaced)
        sweep.acknowledged(again, new)
        assert sweep.at(path) == [again.json()["id"]]
        assert found in (replaced, again.json()["id"])
        assert sweep.at(path, deleted="true") == [replaced]

    sweep.kill_after_each_step(replace)

    sweep.check_everything()


def test_deleting_killed_at_any_step_leaves_a_model_or_one_in_the_trash(sweep: Sweep) -> None:
    def delete() -> Try:
        content, path = sweep.new_file()
        model_id = sweep.register(content, path, sweep.who.upload(content, path)).json()["id"]
        answer = yield lambda: sweep.who.delete(f"/models/{model_id}")
        living, gone = sweep.at(path), sweep.at(path, deleted="true")
        assert living + gone == [model_id]
        assert answer is None or gone
        assert sweep.who.delete(f"/models/{model_id}").status_code == (204 if living else 404)
        assert sweep.at(path) == []
        restored = sweep.who.post(f"/models/{model_id}/restore")
        assert restored.status_code == 200, restored.text
        sweep.acknowledged(sweep.who.get(f"/models/{model_id}"), content)

    sweep.kill_after_each_step(delete)

    sweep.check_everything()
