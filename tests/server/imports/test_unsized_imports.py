"""Imports of files whose source does not say their size."""

import pytest

from modelyard.server.settings import Settings
from tests.server.harness import Harness, hash_of, make_model_file
from tests.server.imports.fake_sources import FakeSources
from tests.server.imports.test_imports import PART, start, wait

pytestmark = pytest.mark.slow


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """The smallest parts, so that files of some megabytes have several."""
    return settings.model_copy(update={"part_size": PART})


@pytest.fixture
def link(fakes: FakeSources) -> str:
    """A link to a file of three parts, which is sent in chunks."""
    fakes.storage.file, fakes.storage.says_size = make_model_file("large", 2 * PART + 1000), False
    return f"{fakes.storage.server.address}/file/ink.safetensors"


def check_imported(registry: Harness, import_id: str, content: bytes) -> None:
    """Check that an import ends with a verified model of this content."""
    done = wait(registry.owner, import_id)
    registry.owner.wait_until_verified(done["model_id"])
    model = registry.owner.get(f"/models/{done['model_id']}").json()
    assert (model["verification"], model["file_hash"], model["file_size"]) == (
        "verified",
        hash_of(content),
        len(content),
    )
    assert (done["file_size"], done["bytes_done"]) == (len(content), len(content))


def test_resolve_file_without_size_has_none(registry: Harness, link: str) -> None:
    assert registry.owner.post("/imports/resolve", url=link).json()["size"] is None


def test_import_file_without_size_becomes_a_verified_model(registry: Harness, fakes: FakeSources, link: str) -> None:
    check_imported(registry, start(registry.owner, link), fakes.storage.file)


@pytest.mark.parametrize("parts", [1, 2], ids=["one part", "two parts"])
def test_import_file_without_size_of_whole_parts_is_complete(
    registry: Harness, fakes: FakeSources, link: str, parts: int
) -> None:
    header = len(make_model_file("large", parts * PART)) - parts * PART
    fakes.storage.file = make_model_file("large", parts * PART - header)
    assert len(fakes.storage.file) == parts * PART
    check_imported(registry, start(registry.owner, link), fakes.storage.file)


def test_import_running_without_size_says_null(registry: Harness, fakes: FakeSources, link: str) -> None:
    fakes.storage.pause()
    import_id = start(registry.owner, link)
    assert wait(registry.owner, import_id, "running")["file_size"] is None
    fakes.storage.resume()
    check_imported(registry, import_id, fakes.storage.file)


def test_import_file_without_size_cut_continues_by_range(registry: Harness, fakes: FakeSources, link: str) -> None:
    fakes.storage.cut_after = [PART + 500, PART + 500]
    check_imported(registry, start(registry.owner, link), fakes.storage.file)
    assert fakes.storage.ranges == [None, f"bytes={PART}-", f"bytes={2 * PART}-"]


@pytest.mark.parametrize(
    "etag",
    [
        pytest.param('"second"', id="strong etag"),
        pytest.param(None, id="without etag", marks=pytest.mark.extended(reason="shorter; the other case compares")),
    ],
)
def test_import_file_without_size_that_shrinks_between_two_requests_starts_anew(
    registry: Harness, fakes: FakeSources, link: str, etag: str | None
) -> None:
    content = make_model_file("small")

    def change() -> None:
        fakes.storage.etag, fakes.storage.file = etag, content

    fakes.storage.etag = etag and '"first"'
    fakes.storage.cut_after, fakes.storage.on_cut = [2 * PART + 500], change
    check_imported(registry, start(registry.owner, link), content)


def test_import_file_without_size_above_the_quota_fails_and_frees_it(
    registry: Harness, fakes: FakeSources, link: str
) -> None:
    registry.owner.put("/teams/current", quota_bytes=2 * PART + 100)
    failed = wait(registry.owner, start(registry.owner, link), "failed")
    assert failed["error_code"] == "quota_exceeded"
    assert registry.owner.get("/models").json()["model_list"] == []
    assert registry.owner.presign(make_model_file("other", PART)).status_code == 200


def test_import_file_without_size_reserves_a_part_of_the_quota(
    registry: Harness, fakes: FakeSources, link: str
) -> None:
    registry.owner.put("/teams/current", quota_bytes=PART - 1)
    draft = registry.owner.post("/imports/resolve", url=link).json()
    kept = {name: draft[name] for name in ("url", "display_name", "model_type", "model_path")}
    assert registry.owner.post("/imports", **kept).json()["error_code"] == "quota_exceeded"


def test_import_file_without_size_and_end_fails_unless_a_hash_is_declared(
    registry: Harness, fakes: FakeSources, link: str
) -> None:
    fakes.storage.is_chunked = False
    failed = wait(registry.owner, start(registry.owner, link), "failed")
    assert failed["error_code"] == "link_refused"
    import_id = start(registry.owner, link, file_hash=hash_of(fakes.storage.file))
    check_imported(registry, import_id, fakes.storage.file)


def test_import_file_without_size_and_bytes_fails(registry: Harness, fakes: FakeSources, link: str) -> None:
    fakes.storage.file = b""
    assert wait(registry.owner, start(registry.owner, link), "failed")["error_code"] == "source_changed"


def test_import_file_without_size_with_content_that_the_team_has_downloads_nothing(
    registry: Harness, fakes: FakeSources, link: str
) -> None:
    registry.owner.register(fakes.storage.file, "loras/own.safetensors")
    done = wait(registry.owner, start(registry.owner, link, file_hash=hash_of(fakes.storage.file)))
    assert done["file_size"] == len(fakes.storage.file)
    assert fakes.storage.ranges == []
