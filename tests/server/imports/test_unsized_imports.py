"""Imports of files whose source does not say their size."""

import pytest

from tests.server.harness import ApiCaller, hash_of, make_model_file
from tests.server.imports.calls import start, wait
from tests.server.imports.conftest import PART
from tests.server.imports.fake_sources import FakeSources

pytestmark = pytest.mark.slow


@pytest.fixture
def link(fakes: FakeSources) -> str:
    """A link to a file of three parts, which is sent in chunks."""
    fakes.storage.file, fakes.storage.says_size = make_model_file("large", 2 * PART + 1000), False
    return f"{fakes.storage.server.address}/file/ink.safetensors"


def check_imported(team: ApiCaller, import_id: str, content: bytes) -> None:
    """Check that an import ends with a verified model of this content."""
    done = wait(team, import_id)
    team.wait_until_verified(done["model_id"])
    model = team.get(f"/models/{done['model_id']}").json()
    assert (model["verification"], model["file_hash"], model["file_size"]) == (
        "verified",
        hash_of(content),
        len(content),
    )
    assert (done["file_size"], done["bytes_done"]) == (len(content), len(content))


def test_resolve_file_without_size_has_none(team: ApiCaller, link: str) -> None:
    assert team.post("/imports/resolve", url=link).json()["size"] is None


def test_import_file_without_size_becomes_a_verified_model(team: ApiCaller, fakes: FakeSources, link: str) -> None:
    check_imported(team, start(team, link), fakes.storage.file)


@pytest.mark.parametrize("parts", [1, 2], ids=["one part", "two parts"])
def test_import_file_without_size_of_whole_parts_is_complete(
    team: ApiCaller, fakes: FakeSources, link: str, parts: int
) -> None:
    header = len(make_model_file("large", parts * PART)) - parts * PART
    fakes.storage.file = make_model_file("large", parts * PART - header)
    assert len(fakes.storage.file) == parts * PART
    check_imported(team, start(team, link), fakes.storage.file)


def test_import_running_without_size_says_null(team: ApiCaller, fakes: FakeSources, link: str) -> None:
    fakes.storage.pause()
    import_id = start(team, link)
    assert wait(team, import_id, "running")["file_size"] is None
    fakes.storage.resume()
    check_imported(team, import_id, fakes.storage.file)


def test_import_file_without_size_cut_continues_by_range(team: ApiCaller, fakes: FakeSources, link: str) -> None:
    fakes.storage.cut_after = [PART + 500, PART + 500]
    check_imported(team, start(team, link), fakes.storage.file)
    # The last byte is asked for again, since the file might end there.
    assert fakes.storage.ranges == [None, f"bytes={PART + 499}-", f"bytes={2 * PART + 998}-"]


@pytest.mark.parametrize(
    "etag",
    [
        pytest.param('"second"', id="strong etag"),
        pytest.param(None, id="without etag", marks=pytest.mark.extended(reason="shorter; the other case compares")),
    ],
)
def test_import_file_without_size_that_shrinks_between_two_requests_starts_anew(
    team: ApiCaller, fakes: FakeSources, link: str, etag: str | None
) -> None:
    content = make_model_file("small")

    def change() -> None:
        fakes.storage.etag, fakes.storage.file = etag, content

    fakes.storage.etag = etag and '"first"'
    fakes.storage.cut_after, fakes.storage.on_cut = [2 * PART + 500], change
    check_imported(team, start(team, link), content)


def test_import_file_without_size_above_the_quota_fails_and_frees_it(
    team: ApiCaller, fakes: FakeSources, link: str
) -> None:
    team.put("/teams/current", quota_bytes=2 * PART + 100)
    failed = wait(team, start(team, link), "failed")
    assert failed["error_code"] == "quota_exceeded"
    assert team.get("/models").json()["model_list"] == []
    assert team.presign(make_model_file("other", PART)).status_code == 200


def test_import_file_without_size_and_quota_below_one_part_is_refused(
    team: ApiCaller, fakes: FakeSources, link: str
) -> None:
    team.put("/teams/current", quota_bytes=PART - 1)
    draft = team.post("/imports/resolve", url=link).json()
    kept = {name: draft[name] for name in ("url", "display_name", "model_type", "model_path")}
    assert team.post("/imports", **kept).json()["error_code"] == "quota_exceeded"


def test_import_file_without_size_and_end_fails_unless_a_hash_is_declared(
    team: ApiCaller, fakes: FakeSources, link: str
) -> None:
    fakes.storage.is_chunked = False
    failed = wait(team, start(team, link), "failed")
    assert failed["error_code"] == "link_refused"
    import_id = start(team, link, file_hash=hash_of(fakes.storage.file))
    check_imported(team, import_id, fakes.storage.file)


def test_import_file_without_size_and_bytes_fails(team: ApiCaller, fakes: FakeSources, link: str) -> None:
    fakes.storage.file = b""
    assert wait(team, start(team, link), "failed")["error_code"] == "source_changed"


def test_import_file_without_size_with_content_that_the_team_has_downloads_nothing(
    team: ApiCaller, fakes: FakeSources, link: str
) -> None:
    team.register(fakes.storage.file, "loras/own.safetensors")
    done = wait(team, start(team, link, file_hash=hash_of(fakes.storage.file)))
    assert done["file_size"] == len(fakes.storage.file)
    assert fakes.storage.ranges == []
