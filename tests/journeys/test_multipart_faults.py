"""Multipart uploads into a real bucket with wrong part lists, bucket errors and abandonment."""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import psycopg
import pytest

from tests.journeys.client_load import is_unavailable_problem
from tests.journeys.command_line import MODELYARD
from tests.journeys.fault_proxy import DropResponse, RespondInstead
from tests.journeys.proxied_bucket import ServerWithProxiedBucket, run_server_with_proxied_bucket
from tests.journeys.upload_sizes import MEBIBYTE, PART_SIZE
from tests.postgres import RunningPostgres
from tests.seaweed import RunningSeaweed
from tests.server.harness import ApiCaller, make_model_file

PARTS = 4
SIZE = 3 * PART_SIZE + MEBIBYTE
ERROR_BODY = (
    b"<?xml version='1.0'?><Error><Code>InternalError</Code><Message>We had to start it again.</Message></Error>"
)
PartList = list[dict[str, Any]]


@pytest.fixture(scope="module")
def bucket_setup(
    postgres_server: RunningPostgres, seaweed_server: RunningSeaweed, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerWithProxiedBucket]:
    folder = tmp_path_factory.mktemp("parts")
    with run_server_with_proxied_bucket(
        folder, postgres_server, seaweed_server, part_size=str(PART_SIZE)
    ) as bucket_setup:
        yield bucket_setup


@pytest.fixture
def team(bucket_setup: ServerWithProxiedBucket) -> ApiCaller:
    return bucket_setup.server.create_team()


class MultipartUpload(NamedTuple):
    """A multipart upload of a file of four parts."""

    caller: ApiCaller
    content: bytes
    path: str
    ids: dict[str, str]

    def send_parts(self, count: int) -> PartList:
        """Upload the first ``count`` parts; return their numbers and ETags."""
        numbers = list(range(1, count + 1))
        presigned = self.caller.post("/uploads/multipart/presign", **self.ids, part_numbers=numbers) if count else None
        return [self._put(ticket) for ticket in (presigned.json()["part_list"] if presigned else [])]

    def _put(self, ticket: dict[str, Any]) -> dict[str, Any]:
        """Upload one part and return its number and ETag."""
        number = ticket["part_number"]
        part = self.content[(number - 1) * PART_SIZE : number * PART_SIZE]
        response = self.caller.client.put(ticket["upload_url"], content=part, headers=ticket["upload_headers"])
        assert response.status_code == 200, response.text
        return {"part_number": number, "etag": response.headers["ETag"]}

    def complete(self, parts: PartList) -> httpx2.Response:
        return self.caller.post("/uploads/multipart/complete", **self.ids, part_list=parts)

    def list_stored_parts(self) -> list[int]:
        """Return the numbers of the parts that the store holds."""
        response = self.caller.get("/uploads/multipart/parts", **self.ids)
        return [part["part_number"] for part in response.json()["part_list"]]

    def register(self) -> str:
        return self.caller.register(self.content, self.path, storage_key=self.ids["storage_key"])


def start_upload(caller: ApiCaller, name: str) -> MultipartUpload:
    """Initiate a multipart upload of a new file with this name."""
    content = make_model_file(name, SIZE)
    path = f"loras/{name}.safetensors"
    key = caller.presign(content, path).json()["storage_key"]
    initiated = caller.post("/uploads/multipart/initiate", storage_key=key, file_size=len(content)).json()
    assert initiated["part_count"] == PARTS
    return MultipartUpload(caller, content, path, {"storage_key": key, "upload_id": initiated["upload_id"]})


WRONG_PART_LISTS: dict[str, Callable[[PartList], PartList]] = {
    "one is missing": lambda parts: parts[:2] + parts[3:],
    "the last is missing": lambda parts: parts[:-1],
    "one more": lambda parts: [*parts, {"part_number": PARTS + 1, "etag": parts[0]["etag"]}],
    "another order": lambda parts: parts[::-1],
    "one twice": lambda parts: [*parts[:2], *parts[1:]],
    "another's tag": lambda parts: [parts[0], parts[1] | {"etag": parts[0]["etag"]}, *parts[2:]],
}


def test_complete_multipart_with_wrong_part_list_returns_409_and_correct_list_succeeds(team: ApiCaller) -> None:
    upload = start_upload(team, "wrong")
    parts = upload.send_parts(PARTS)
    for case, change in WRONG_PART_LISTS.items():
        refused = upload.complete(change(parts))
        assert (refused.status_code, refused.json()["error_code"]) == (409, "parts_wrong"), case
        assert upload.list_stored_parts() == [1, 2, 3, 4]
    assert [upload.complete(parts).status_code for _ in range(2)] == [200, 200]
    model_id = upload.register()
    assert upload.complete(parts).status_code == 200
    check_download(team, model_id, upload.content)


def check_download(caller: ApiCaller, model_id: str, content: bytes) -> None:
    assert caller.get(f"/models/{model_id}").json()["verification"] == "verified"
    url = caller.get(f"/models/{model_id}/download", redirect=False).json()["download_url"]
    assert caller.client.get(url).content == content


@pytest.mark.parametrize(
    "fault",
    [RespondInstead(200, ERROR_BODY), RespondInstead(500, ERROR_BODY), DropResponse()],
    ids=["an error in a 200", "a 500", "no answer"],
)
def test_complete_multipart_after_bucket_error_returns_503_and_succeeds_when_repeated(
    bucket_setup: ServerWithProxiedBucket, team: ApiCaller, fault: RespondInstead | DropResponse
) -> None:
    upload = start_upload(team, "unlucky")
    parts = upload.send_parts(PARTS)
    bucket_setup.http_proxy.inject_once(fault, "POST", ".*")
    assert is_unavailable_problem(upload.complete(parts))
    assert upload.complete(parts).status_code == 200
    check_download(team, upload.register(), upload.content)


def test_collect_garbage_abandoned_multipart_uploads_removes_them_from_bucket(
    bucket_setup: ServerWithProxiedBucket, team: ApiCaller, seaweed_server: RunningSeaweed
) -> None:
    abandoned = [start_upload(team, f"dropped-{count}") for count in range(PARTS + 1)]
    for count, upload in enumerate(abandoned):
        upload.send_parts(count)
        assert upload.list_stored_parts() == list(range(1, count + 1))
    finished = start_upload(team, "finished")
    assert finished.complete(finished.send_parts(PARTS)).status_code == 200
    model_id = finished.register()
    bucket = bucket_setup.settings["storage_url"].removeprefix("s3://").partition("/")[0]
    client = seaweed_server.client()
    assert len(client.list_multipart_uploads(Bucket=bucket)["Uploads"]) == len(abandoned)

    make_uploads_eight_days_old(bucket_setup.settings["database_url"])
    collect_garbage(bucket_setup)

    assert client.list_multipart_uploads(Bucket=bucket).get("Uploads", []) == []
    check_download(team, model_id, finished.content)
    assert {abandoned[0].complete([{"part_number": 1, "etag": "x"}]).status_code} == {404}


def make_uploads_eight_days_old(database_url: str) -> None:
    """Make every upload eight days old."""
    with closing(psycopg.connect(database_url, autocommit=True)) as connection:
        connection.execute("UPDATE uploads SET touched_at = touched_at - interval '8 days'")


def collect_garbage(bucket_setup: ServerWithProxiedBucket) -> None:
    """Run ``collect-garbage`` without a grace time on the server's database and bucket."""
    settings = {f"MODELYARD_{name.upper()}": value for name, value in bucket_setup.settings.items()}
    command: list[str | Path] = [
        MODELYARD,
        "collect-garbage",
        "--grace",
        "0",
        "--data-dir",
        bucket_setup.server.data_dir,
    ]
    result = subprocess.run(command, env=os.environ | settings, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
