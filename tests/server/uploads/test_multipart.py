"""Multipart uploads: initiate, presign and upload parts, list, complete, abort; and the choice of the part size."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from modelyard.server.uploads.multipart import choose_part_size
from modelyard.server.uploads.operations import advise_multipart
from modelyard.server.uploads.tables import UploadRow
from tests.server.harness import ApiCaller, Harness, make_model_file

MEBIBYTE = 1024 * 1024
PART_SIZE = 5 * MEBIBYTE  # of the shared registry; the smallest that S3 allows
CONTENT = make_model_file("parts", 2 * PART_SIZE + 12345)
PATH = "checkpoints/large.safetensors"


class MultipartUpload:
    """An initiated multipart upload of ``CONTENT``."""

    def __init__(self, caller: ApiCaller) -> None:
        self.caller = caller
        self.key = str(caller.presign(CONTENT, PATH).json()["storage_key"])
        self.initiated = self.initiate().json()
        self.ids = {"storage_key": self.key, "upload_id": self.initiated["upload_id"]}

    def initiate(self) -> Any:
        return self.caller.post("/uploads/multipart/initiate", storage_key=self.key, file_size=len(CONTENT))

    def presign(self, *numbers: int) -> list[dict[str, Any]]:
        answer = self.caller.post("/uploads/multipart/presign", **self.ids, part_numbers=list(numbers))
        assert answer.status_code == 200, answer.text
        tickets: list[dict[str, Any]] = answer.json()["part_list"]
        return tickets

    def upload(self, *numbers: int) -> list[dict[str, Any]]:
        """Upload parts, and return their numbers and ETags in the form that ``complete`` expects."""
        part_list = []
        for ticket in self.presign(*numbers):
            number = ticket["part_number"]
            part = CONTENT[(number - 1) * PART_SIZE : number * PART_SIZE]
            sent = self.caller.client.put(ticket["upload_url"], content=part, headers=ticket["upload_headers"])
            assert sent.status_code == 200, sent.text
            part_list.append({"part_number": number, "etag": sent.headers["ETag"]})
        return part_list

    def list_parts(self) -> Any:
        return self.caller.get("/uploads/multipart/parts", **self.ids)

    def complete(self, part_list: list[dict[str, Any]]) -> Any:
        return self.caller.post("/uploads/multipart/complete", **self.ids, part_list=part_list)

    def abort(self) -> Any:
        return self.caller.post("/uploads/multipart/abort", **self.ids)


@pytest.fixture
def multipart(team: ApiCaller) -> MultipartUpload:
    return MultipartUpload(team)


def test_initiate_returns_part_size_and_count_and_repeated_returns_the_same(multipart: MultipartUpload) -> None:
    initiated = multipart.initiated
    assert (initiated["storage_key"], initiated["part_size"], initiated["part_count"]) == (multipart.key, PART_SIZE, 3)
    assert initiated["upload_id"]
    again = multipart.initiate()
    assert (again.status_code, again.json()) == (200, initiated)


def test_complete_parts_uploaded_in_any_order_registers_and_downloads_the_file(
    shared_registry: Harness, multipart: MultipartUpload
) -> None:
    part_list = multipart.upload(3, 1) + multipart.upload(2)
    done = multipart.complete(sorted(part_list, key=lambda part: part["part_number"]))
    assert (done.status_code, done.json()) == (200, {"is_success": True})
    model_id = multipart.caller.register(CONTENT, PATH, storage_key=multipart.key)
    model = multipart.caller.get(f"/models/{model_id}").json()
    assert model["verification"] == "verified"
    url = multipart.caller.get(f"/models/{model_id}/download", redirect="false").json()["download_url"]
    assert shared_registry.client.get(url).content == CONTENT


def test_complete_repeated_before_and_after_registration_succeeds(multipart: MultipartUpload) -> None:
    part_list = multipart.upload(1, 2, 3)
    for _ in range(2):
        assert multipart.complete(part_list).json() == {"is_success": True}
    multipart.caller.register(CONTENT, PATH, storage_key=multipart.key)
    assert multipart.complete(part_list).json() == {"is_success": True}


def test_list_parts_returns_numbers_sizes_and_etags_of_uploaded_parts(multipart: MultipartUpload) -> None:
    assert multipart.list_parts().json() == {"part_list": []}
    sent = multipart.upload(3) + multipart.upload(2)
    parts = multipart.list_parts().json()["part_list"]
    assert [(part["part_number"], part["size"]) for part in parts] == [
        (2, PART_SIZE),
        (3, len(CONTENT) - 2 * PART_SIZE),
    ]
    assert [part["etag"].strip('"') for part in parts] == [part["etag"].strip('"') for part in reversed(sent)]


def test_upload_part_requires_the_exact_part_size_but_for_the_last_part(multipart: MultipartUpload) -> None:
    lengths = [ticket["upload_headers"]["Content-Length"] for ticket in multipart.presign(1, 2, 3)]
    assert lengths == [str(PART_SIZE), str(PART_SIZE), str(len(CONTENT) - 2 * PART_SIZE)]
    [ticket] = multipart.presign(1)
    short = multipart.caller.client.put(ticket["upload_url"], content=b"short")
    # The local store compares the length; for a bucket, the signature does not match another length.
    assert short.status_code in (400, 403)
    assert multipart.list_parts().json() == {"part_list": []}


@pytest.mark.parametrize(
    "numbers", [[], [0], [-1], [4], [10_001], [1.0], ["1"], [True], [None], 1, None, list(range(1, 1002)), [2**63]]
)
def test_presign_parts_invalid_part_numbers_returns_422_with_the_field(
    multipart: MultipartUpload, numbers: Any
) -> None:
    refused = multipart.caller.post("/uploads/multipart/presign", **multipart.ids, part_numbers=numbers)
    assert refused.status_code == 422
    assert {error["field"].split(".")[0] for error in refused.json()["errors"]} == {"part_numbers"}


def test_presign_parts_1000_numbers_with_duplicates_returns_each_part_once(multipart: MultipartUpload) -> None:
    answer = multipart.caller.post("/uploads/multipart/presign", **multipart.ids, part_numbers=[1, 2, 3] * 333 + [1])
    assert [ticket["part_number"] for ticket in answer.json()["part_list"]] == [1, 2, 3]


def test_complete_incomplete_unordered_or_wrong_part_list_returns_409(multipart: MultipartUpload) -> None:
    part_list = multipart.upload(1, 2, 3)
    wrong_lists = [
        part_list[:2],
        part_list[::-1],
        [*part_list, part_list[2]],
        [*part_list, {"part_number": 4, "etag": part_list[0]["etag"]}],
        [part_list[0], {"part_number": 2, "etag": "0" * 32}, part_list[2]],
    ]
    for wrong_list in wrong_lists:
        refused = multipart.complete(wrong_list)
        assert (refused.status_code, refused.json()["error_code"]) == (409, "parts_wrong")
    assert multipart.complete(part_list).status_code == 200


def test_complete_with_etag_of_a_part_uploaded_again_succeeds(multipart: MultipartUpload) -> None:
    part_list = multipart.upload(1, 2, 3)
    assert multipart.complete([*multipart.upload(1), *part_list[1:]]).status_code == 200


def test_abort_repeated_succeeds_and_its_parts_return_404(multipart: MultipartUpload) -> None:
    multipart.upload(1)
    for _ in range(2):
        aborted = multipart.abort()
        assert (aborted.status_code, aborted.content) == (204, b"")
    for refused in (multipart.list_parts(), multipart.complete([{"part_number": n, "etag": "x"} for n in (1, 2, 3)])):
        assert (refused.status_code, refused.json()["error_code"]) == (404, "upload_not_found")


def test_initiate_after_abort_returns_new_upload_id_that_completes(multipart: MultipartUpload) -> None:
    old = multipart.initiated["upload_id"]
    multipart.abort()
    multipart.ids["upload_id"] = multipart.initiate().json()["upload_id"]
    assert multipart.ids["upload_id"] != old
    assert multipart.complete(multipart.upload(1, 2, 3)).status_code == 200


def test_presign_after_abort_ignores_the_aborted_upload_in_the_quota_once_its_url_expired(
    shared_registry: Harness, team: ApiCaller
) -> None:
    multipart = MultipartUpload(team)
    multipart.abort()
    with shared_registry.resources.database.writing() as session:
        upload = session.scalars(select(UploadRow).where(UploadRow.storage_key == multipart.key)).one()
        upload.created_at -= timedelta(hours=2)
    team.put("/teams/current", quota_bytes=len(CONTENT) + 100)
    assert team.presign(CONTENT, PATH).status_code == 200


def test_abort_after_completion_keeps_the_file(multipart: MultipartUpload) -> None:
    multipart.complete(multipart.upload(1, 2, 3))
    assert multipart.abort().status_code == 204
    assert multipart.caller.register(CONTENT, PATH, storage_key=multipart.key)


def test_register_unfinished_multipart_upload_returns_409_with_the_stored_size(multipart: MultipartUpload) -> None:
    multipart.upload(1, 3)
    refused = multipart.caller.post("/models", **multipart.caller.new_model(CONTENT, PATH, storage_key=multipart.key))
    sizes = (refused.json()["stored"], refused.json()["declared"])
    assert (refused.status_code, *sizes) == (409, len(CONTENT) - PART_SIZE, len(CONTENT))


def test_register_multipart_upload_whose_parts_are_not_completed_returns_409_that_says_so(
    multipart: MultipartUpload,
) -> None:
    multipart.upload(1, 2, 3)
    refused = multipart.caller.post("/models", **multipart.caller.new_model(CONTENT, PATH, storage_key=multipart.key))
    assert (refused.status_code, refused.json()["stored"], refused.json()["declared"]) == (409, *[len(CONTENT)] * 2)
    assert "Complete the upload" in refused.json()["detail"]


def test_initiate_for_complete_file_returns_409_upload_used(team: ApiCaller) -> None:
    key = team.upload(CONTENT, PATH)
    refused = team.post("/uploads/multipart/initiate", storage_key=key, file_size=len(CONTENT))
    assert (refused.status_code, refused.json()["error_code"]) == (409, "upload_used")


def test_initiate_with_other_size_than_presigned_returns_422(multipart: MultipartUpload) -> None:
    refused = multipart.caller.post("/uploads/multipart/initiate", storage_key=multipart.key, file_size=1)
    assert (refused.status_code, refused.json()["error_code"]) == (422, "size_mismatch")
    assert refused.json()["errors"][0]["field"] == "file_size"
    assert (refused.json()["presigned"], refused.json()["initiated"]) == (len(CONTENT), 1)


def test_multipart_calls_for_foreign_upload_return_the_same_404_as_for_unknown_one(
    shared_registry: Harness, multipart: MultipartUpload
) -> None:
    other_team = shared_registry.create_other_team()
    unknown = {"storage_key": f"models/{uuid4()}/{uuid4()}", "upload_id": "0" * 32}
    for action in ("presign", "complete", "abort"):
        more = {"part_numbers": [1], "part_list": [{"part_number": 1, "etag": "x"}]}
        answers = [other_team.post(f"/uploads/multipart/{action}", **ids, **more) for ids in (multipart.ids, unknown)]
        assert {answer.status_code for answer in answers} == {404}
        assert len({str(answer.json() | {"request_id": ""}) for answer in answers}) == 1


def test_list_parts_without_team_header_succeeds(multipart: MultipartUpload) -> None:
    caller_without_team = ApiCaller(multipart.caller.client, multipart.caller.token)
    assert caller_without_team.get("/uploads/multipart/parts", **multipart.ids).status_code == 200


@pytest.mark.parametrize(
    ("size", "part_size"),
    [
        (1, 100 * MEBIBYTE),
        (10_000 * 100 * MEBIBYTE, 100 * MEBIBYTE),
        (10_000 * 100 * MEBIBYTE + 1, 101 * MEBIBYTE),
    ],
)
def test_choose_part_size_fixed_size_grows_only_above_10000_parts(size: int, part_size: int) -> None:
    assert choose_part_size(size, 100 * MEBIBYTE) == part_size


@pytest.mark.parametrize(
    ("size", "mebibytes"),
    [
        (1, 8),
        (512 * MEBIBYTE, 8),
        (512 * MEBIBYTE + 1, 9),
        (1024 * MEBIBYTE, 16),
        (160_000 * MEBIBYTE, 16),
        (160_000 * MEBIBYTE + 1, 17),
    ],
)
def test_choose_part_size_default_is_8_to_16_mebibytes_and_grows_for_huge_files(size: int, mebibytes: int) -> None:
    assert choose_part_size(size, None) == mebibytes * MEBIBYTE


@given(st.integers(1, 2**63 - 1), st.none() | st.integers(PART_SIZE, 5 * 1024 * MEBIBYTE))
def test_choose_part_size_random_size_gives_at_most_10000_parts(size: int, fixed: int | None) -> None:
    part_size = choose_part_size(size, fixed)
    assert part_size >= (fixed or 8 * MEBIBYTE)
    assert -(-size // part_size) <= 10_000


@pytest.mark.parametrize(
    ("mebibytes", "limit", "advice"),
    [
        (32, 500, (False, False)),
        (33, 500, (False, True)),
        (500, 500, (False, True)),
        (501, 500, (True, True)),
        (10, 10, (False, False)),
        (11, 10, (True, True)),
    ],
)
def test_advise_multipart_recommends_parts_above_32_mebibytes_and_wherever_required(
    mebibytes: int, limit: int, advice: tuple[bool, bool]
) -> None:
    assert advise_multipart(mebibytes * MEBIBYTE, limit * MEBIBYTE) == advice
