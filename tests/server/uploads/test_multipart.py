"""Uploads in parts: begin, sign, send, list, complete, abort."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from modelyard.server.uploads.multipart import part_size_for
from modelyard.server.uploads.tables import UploadRow
from tests.server.world import Someone, World, a_model_file

MEBIBYTE = 1024 * 1024
PART = 5 * MEBIBYTE  # the shared registry's part size, the smallest there is
CONTENT = a_model_file("parts", 2 * PART + 12345)
PATH = "checkpoints/large.safetensors"


class Sending:
    """An upload of ``CONTENT`` that was begun."""

    def __init__(self, someone: Someone) -> None:
        self.someone = someone
        self.key = str(someone.presign(CONTENT, PATH).json()["storage_key"])
        self.begun = self.begin().json()
        self.named = {"storage_key": self.key, "upload_id": self.begun["upload_id"]}

    def begin(self) -> Any:
        return self.someone.post("/uploads/multipart/initiate", storage_key=self.key, file_size=len(CONTENT))

    def tickets(self, *numbers: int) -> list[dict[str, Any]]:
        answer = self.someone.post("/uploads/multipart/presign", **self.named, part_numbers=list(numbers))
        assert answer.status_code == 200, answer.text
        tickets: list[dict[str, Any]] = answer.json()["part_list"]
        return tickets

    def send(self, *numbers: int) -> list[dict[str, Any]]:
        """The parts, as ``complete`` wants them named."""
        named = []
        for ticket in self.tickets(*numbers):
            number = ticket["part_number"]
            part = CONTENT[(number - 1) * PART : number * PART]
            sent = self.someone.client.put(ticket["upload_url"], content=part, headers=ticket["upload_headers"])
            assert sent.status_code == 200, sent.text
            named.append({"part_number": number, "etag": sent.headers["ETag"]})
        return named

    def parts(self) -> Any:
        return self.someone.get("/uploads/multipart/parts", **self.named)

    def complete(self, part_list: list[dict[str, Any]]) -> Any:
        return self.someone.post("/uploads/multipart/complete", **self.named, part_list=part_list)

    def abort(self) -> Any:
        return self.someone.post("/uploads/multipart/abort", **self.named)


@pytest.fixture
def sending(team: Someone) -> Sending:
    return Sending(team)


def test_begin_says_how_to_cut_the_file_and_a_repeat_says_the_same(sending: Sending) -> None:
    begun = sending.begun
    assert (begun["storage_key"], begun["part_size"], begun["part_count"]) == (sending.key, PART, 3)
    assert begun["upload_id"]
    again = sending.begin()
    assert (again.status_code, again.json()) == (200, begun)


def test_parts_in_any_order_become_the_file_and_the_file_a_model(shared_world: World, sending: Sending) -> None:
    named = sending.send(3, 1) + sending.send(2)
    done = sending.complete(sorted(named, key=lambda part: part["part_number"]))
    assert (done.status_code, done.json()) == (200, {"is_success": True})
    model_id = sending.someone.register(CONTENT, PATH, storage_key=sending.key)
    model = sending.someone.get(f"/models/{model_id}").json()
    assert model["verification"] == "verified"
    url = sending.someone.get(f"/models/{model_id}/download", redirect="false").json()["download_url"]
    assert shared_world.client.get(url).content == CONTENT


def test_complete_may_be_repeated_also_after_registration(sending: Sending) -> None:
    named = sending.send(1, 2, 3)
    for _ in range(2):
        assert sending.complete(named).json() == {"is_success": True}
    sending.someone.register(CONTENT, PATH, storage_key=sending.key)
    assert sending.complete(named).json() == {"is_success": True}


def test_a_resume_is_told_which_parts_the_store_holds(sending: Sending) -> None:
    assert sending.parts().json() == {"part_list": []}
    sent = sending.send(3) + sending.send(2)
    held = sending.parts().json()["part_list"]
    assert [(part["part_number"], part["size"]) for part in held] == [(2, PART), (3, len(CONTENT) - 2 * PART)]
    assert [part["etag"].strip('"') for part in held] == [part["etag"].strip('"') for part in reversed(sent)]


def test_every_part_but_the_last_has_exactly_the_part_size(sending: Sending) -> None:
    lengths = [ticket["upload_headers"]["Content-Length"] for ticket in sending.tickets(1, 2, 3)]
    assert lengths == [str(PART), str(PART), str(len(CONTENT) - 2 * PART)]
    [ticket] = sending.tickets(1)
    short = sending.someone.client.put(ticket["upload_url"], content=b"short")
    # A folder counts; to a bucket, another length is another request than the one that was signed.
    assert short.status_code in (400, 403)
    assert sending.parts().json() == {"part_list": []}


@pytest.mark.parametrize(
    "numbers", [[], [0], [-1], [4], [10_001], [1.0], ["1"], [True], [None], 1, None, list(range(1, 1002)), [2**63]]
)
def test_part_numbers_that_are_none_are_refused_with_their_field(sending: Sending, numbers: Any) -> None:
    refused = sending.someone.post("/uploads/multipart/presign", **sending.named, part_numbers=numbers)
    assert refused.status_code == 422
    assert {error["field"].split(".")[0] for error in refused.json()["errors"]} == {"part_numbers"}


def test_a_thousand_part_numbers_may_be_asked_for_at_once(sending: Sending) -> None:
    answer = sending.someone.post("/uploads/multipart/presign", **sending.named, part_numbers=[1, 2, 3] * 333 + [1])
    assert [ticket["part_number"] for ticket in answer.json()["part_list"]] == [1, 2, 3]


def test_only_the_whole_list_of_the_right_parts_completes(sending: Sending) -> None:
    named = sending.send(1, 2, 3)
    wrong = [
        named[:2],
        named[::-1],
        [*named, named[2]],
        [*named, {"part_number": 4, "etag": named[0]["etag"]}],
        [named[0], {"part_number": 2, "etag": "0" * 32}, named[2]],
    ]
    for part_list in wrong:
        refused = sending.complete(part_list)
        assert (refused.status_code, refused.json()["error_code"]) == (409, "parts_wrong")
    assert sending.complete(named).status_code == 200


def test_a_part_that_was_sent_again_has_its_new_tag(sending: Sending) -> None:
    named = sending.send(1, 2, 3)
    assert sending.complete([*sending.send(1), *named[1:]]).status_code == 200


def test_abort_may_be_repeated_and_forgets_the_parts(sending: Sending) -> None:
    sending.send(1)
    for _ in range(2):
        aborted = sending.abort()
        assert (aborted.status_code, aborted.content) == (204, b"")
    for refused in (sending.parts(), sending.complete([{"part_number": n, "etag": "x"} for n in (1, 2, 3)])):
        assert (refused.status_code, refused.json()["error_code"]) == (404, "upload_not_found")


def test_an_aborted_upload_may_be_begun_anew(sending: Sending) -> None:
    old = sending.begun["upload_id"]
    sending.abort()
    sending.named["upload_id"] = sending.begin().json()["upload_id"]
    assert sending.named["upload_id"] != old
    assert sending.complete(sending.send(1, 2, 3)).status_code == 200


def test_an_aborted_upload_holds_no_room_once_its_url_is_old(shared_world: World, team: Someone) -> None:
    sending = Sending(team)
    sending.abort()
    with shared_world.parts.database.writing() as session:
        upload = session.scalars(select(UploadRow).where(UploadRow.storage_key == sending.key)).one()
        upload.created_at -= timedelta(hours=2)
    team.put("/teams/current", quota_bytes=len(CONTENT) + 100)
    assert team.presign(CONTENT, PATH).status_code == 200


def test_abort_changes_nothing_after_completion(sending: Sending) -> None:
    sending.complete(sending.send(1, 2, 3))
    assert sending.abort().status_code == 204
    assert sending.someone.register(CONTENT, PATH, storage_key=sending.key)


def test_parts_of_an_unfinished_upload_are_no_model_yet(sending: Sending) -> None:
    sending.send(1, 3)
    refused = sending.someone.post("/models", **sending.someone.new_model(CONTENT, PATH, storage_key=sending.key))
    assert (refused.status_code, refused.json()["stored"]) == (409, len(CONTENT) - PART)


def test_what_is_there_already_is_not_begun(team: Someone) -> None:
    key = team.upload(CONTENT, PATH)
    refused = team.post("/uploads/multipart/initiate", storage_key=key, file_size=len(CONTENT))
    assert (refused.status_code, refused.json()["error_code"]) == (409, "upload_used")


def test_another_size_than_at_presign_is_refused(sending: Sending) -> None:
    refused = sending.someone.post("/uploads/multipart/initiate", storage_key=sending.key, file_size=1)
    assert (refused.status_code, refused.json()["error_code"]) == (422, "size_mismatch")
    assert refused.json()["errors"][0]["field"] == "file_size"


def test_another_teams_upload_looks_like_none(shared_world: World, sending: Sending) -> None:
    stranger = shared_world.other_team()
    made_up = {"storage_key": f"models/{uuid4()}/{uuid4()}", "upload_id": "0" * 32}
    for action in ("presign", "complete", "abort"):
        more = {"part_numbers": [1], "part_list": [{"part_number": 1, "etag": "x"}]}
        answers = [stranger.post(f"/uploads/multipart/{action}", **named, **more) for named in (sending.named, made_up)]
        assert {answer.status_code for answer in answers} == {404}
        assert len({str(answer.json() | {"request_id": ""}) for answer in answers}) == 1


def test_the_team_of_an_upload_needs_no_header(sending: Sending) -> None:
    bare = Someone(sending.someone.client, sending.someone.token)
    assert bare.get("/uploads/multipart/parts", **sending.named).status_code == 200


@pytest.mark.parametrize(
    ("size", "size_of_a_part"),
    [
        (1, 100 * MEBIBYTE),
        (10_000 * 100 * MEBIBYTE, 100 * MEBIBYTE),
        (10_000 * 100 * MEBIBYTE + 1, 101 * MEBIBYTE),
    ],
)
def test_parts_grow_when_there_would_be_more_than_ten_thousand(size: int, size_of_a_part: int) -> None:
    assert part_size_for(size, 100 * MEBIBYTE) == size_of_a_part


@given(st.integers(1, 2**63 - 1), st.integers(PART, 5 * 1024 * MEBIBYTE))
def test_no_file_has_more_than_ten_thousand_parts(size: int, usual: int) -> None:
    grown = part_size_for(size, usual)
    assert grown >= usual
    assert -(-size // grown) <= 10_000
