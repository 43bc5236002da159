"""Uploads in parts that go wrong in every way, into a real bucket, which at last holds nothing of them."""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import psycopg
import pytest

from tests.journeys.between import AnswerInstead, LoseAnswer
from tests.journeys.disturbed import Disturbed, disturbed
from tests.journeys.load import is_honest_refusal
from tests.journeys.program import MODELYARD
from tests.journeys.sizes import MEBIBYTE, PART_SIZE
from tests.postgres import RunningPostgres
from tests.seaweed import RunningSeaweed
from tests.server.world import Someone, a_model_file

PARTS = 4
SIZE = 3 * PART_SIZE + MEBIBYTE
ERROR = b"<?xml version='1.0'?><Error><Code>InternalError</Code><Message>We had to start it again.</Message></Error>"
Named = list[dict[str, Any]]


@pytest.fixture(scope="module")
def here(
    postgres_server: RunningPostgres, seaweed_server: RunningSeaweed, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Disturbed]:
    folder = tmp_path_factory.mktemp("parts")
    with disturbed(folder, postgres_server, seaweed_server, part_size=str(PART_SIZE)) as here:
        yield here


@pytest.fixture
def team(here: Disturbed) -> Someone:
    return here.new_team()


class InParts(NamedTuple):
    """A file of four parts on its way."""

    who: Someone
    content: bytes
    path: str
    ids: dict[str, str]

    def send(self, count: int) -> Named:
        """The first parts of the file, so many, and their names."""
        numbers = list(range(1, count + 1))
        asked = self.who.post("/uploads/multipart/presign", **self.ids, part_numbers=numbers) if count else None
        return [self._put(ticket) for ticket in (asked.json()["part_list"] if asked else [])]

    def _put(self, ticket: dict[str, Any]) -> dict[str, Any]:
        number = ticket["part_number"]
        part = self.content[(number - 1) * PART_SIZE : number * PART_SIZE]
        answer = self.who.client.put(ticket["upload_url"], content=part, headers=ticket["upload_headers"])
        assert answer.status_code == 200, answer.text
        return {"part_number": number, "etag": answer.headers["ETag"]}

    def complete(self, named: Named) -> httpx2.Response:
        return self.who.post("/uploads/multipart/complete", **self.ids, part_list=named)

    def stored(self) -> list[int]:
        """The numbers of the parts that the store holds."""
        answer = self.who.get("/uploads/multipart/parts", **self.ids)
        return [part["part_number"] for part in answer.json()["part_list"]]

    def register(self) -> str:
        return self.who.register(self.content, self.path, storage_key=self.ids["storage_key"])


def begun(who: Someone, word: str) -> InParts:
    content = a_model_file(word, SIZE)
    path = f"loras/{word}.safetensors"
    key = who.presign(content, path).json()["storage_key"]
    started = who.post("/uploads/multipart/initiate", storage_key=key, file_size=len(content)).json()
    assert started["part_count"] == PARTS
    return InParts(who, content, path, {"storage_key": key, "upload_id": started["upload_id"]})


WRONG: dict[str, Callable[[Named], Named]] = {
    "one is missing": lambda named: named[:2] + named[3:],
    "the last is missing": lambda named: named[:-1],
    "one more": lambda named: [*named, {"part_number": PARTS + 1, "etag": named[0]["etag"]}],
    "another order": lambda named: named[::-1],
    "one twice": lambda named: [*named[:2], *named[1:]],
    "another's tag": lambda named: [named[0], named[1] | {"etag": named[0]["etag"]}, *named[2:]],
}


def test_parts_that_are_named_wrongly_make_no_file_and_the_right_ones_make_it_once(team: Someone) -> None:
    upload = begun(team, "wrong")
    named = upload.send(PARTS)
    for how, wrong in WRONG.items():
        refused = upload.complete(wrong(named))
        assert (refused.status_code, refused.json()["error_code"]) == (409, "parts_wrong"), how
        assert upload.stored() == [1, 2, 3, 4]
    assert [upload.complete(named).status_code for _ in range(2)] == [200, 200]
    model_id = upload.register()
    assert upload.complete(named).status_code == 200
    check_bytes(team, model_id, upload.content)


def check_bytes(who: Someone, model_id: str, content: bytes) -> None:
    assert who.get(f"/models/{model_id}").json()["verification"] == "verified"
    url = who.get(f"/models/{model_id}/download", redirect=False).json()["download_url"]
    assert who.client.get(url).content == content


@pytest.mark.parametrize(
    "fault",
    [AnswerInstead(200, ERROR), AnswerInstead(500, ERROR), LoseAnswer()],
    ids=["an error in a 200", "a 500", "no answer"],
)
def test_a_completion_that_goes_wrong_in_the_bucket_is_repeated(
    here: Disturbed, team: Someone, fault: AnswerInstead | LoseAnswer
) -> None:
    upload = begun(team, "unlucky")
    named = upload.send(PARTS)
    here.between.once(fault, "POST", ".*")
    assert is_honest_refusal(upload.complete(named))
    assert upload.complete(named).status_code == 200
    check_bytes(team, upload.register(), upload.content)


def test_uploads_dropped_after_any_part_leave_nothing_in_the_bucket(
    here: Disturbed, team: Someone, seaweed_server: RunningSeaweed
) -> None:
    dropped = [begun(team, f"dropped-{count}") for count in range(PARTS + 1)]
    for count, upload in enumerate(dropped):
        upload.send(count)
        assert upload.stored() == list(range(1, count + 1))
    finished = begun(team, "finished")
    assert finished.complete(finished.send(PARTS)).status_code == 200
    model_id = finished.register()
    bucket = here.settings["storage_url"].removeprefix("s3://").partition("/")[0]
    client = seaweed_server.client()
    assert len(client.list_multipart_uploads(Bucket=bucket)["Uploads"]) == len(dropped)

    forget_for_days(here.settings["database_url"])
    clean_up(here)

    assert client.list_multipart_uploads(Bucket=bucket).get("Uploads", []) == []
    check_bytes(team, model_id, finished.content)
    assert {dropped[0].complete([{"part_number": 1, "etag": "x"}]).status_code} == {404}


def forget_for_days(database_url: str) -> None:
    """Let eight days pass for every upload."""
    with closing(psycopg.connect(database_url, autocommit=True)) as connection:
        connection.execute("UPDATE uploads SET touched_at = touched_at - interval '8 days'")


def clean_up(here: Disturbed) -> None:
    settings = {f"MODELYARD_{name.upper()}": value for name, value in here.settings.items()}
    command: list[str | Path] = [MODELYARD, "collect-garbage", "--grace", "0", "--data-dir", here.server.data_dir]
    ran = subprocess.run(command, env=os.environ | settings, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
