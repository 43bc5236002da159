"""Downloads that end within a part continue at its last byte, and do not give up while they make progress."""

import pytest

from modelyard.server.imports.downloads.unfinished_parts import KEPT_SECONDS, UnfinishedPart, UnfinishedParts
from modelyard.server.imports.runs.failures import MAX_TRIES
from modelyard.server.imports.runs.importer import Importer
from tests.server.harness import hash_of
from tests.server.imports.calls import start
from tests.server.imports.conftest import PART
from tests.server.imports.fake_sources import FakeSources
from tests.server.imports.stopped import Stopped

STEP = PART // 7  # of the bytes that one connection brings
ETAG = '"first"'


def _run_until_ended(stopped: Stopped, importer: Importer, import_id: str) -> tuple[int, dict[str, object]]:
    """Run an import until it has ended; return the number of tries, and the record."""
    for tries in range(1, 5 * MAX_TRIES):
        assert importer.import_next() is True
        stopped.expire_leases()
        record = stopped.owner.get(f"/imports/{import_id}").json()
        if record["import_state"] in ("done", "failed"):
            return tries, record
    raise AssertionError("The import does not end.")


@pytest.mark.slow
@pytest.mark.parametrize("says_size", [True, False], ids=["with size", "without size"])
def test_import_next_source_that_cuts_every_connection_within_a_part_is_done_by_ranges(
    stopped: Stopped, fakes: FakeSources, large: bytes, says_size: bool
) -> None:
    fakes.storage.file, fakes.storage.says_size = large, says_size
    fakes.storage.cut_after = [STEP] * 100
    link = f"{fakes.storage.server.address}/file/ink.safetensors"
    import_id = start(stopped.owner, link)
    tries, done = _run_until_ended(stopped, stopped.create_importer(), import_id)
    assert done["import_state"] == "done", done
    # Without a size, one byte is asked for again each time.
    step = STEP if says_size else STEP - 1
    assert fakes.storage.ranges == [None, *(f"bytes={number * step}-" for number in range(1, tries))]
    assert tries > MAX_TRIES
    assert stopped.owner.get(f"/models/{done['model_id']}").json()["file_hash"] == hash_of(large)


@pytest.mark.slow
def test_import_next_refused_try_between_two_ranges_keeps_the_unfinished_part(
    stopped: Stopped, fakes: FakeSources, link: str, large: bytes
) -> None:
    import_id, importer = start(stopped.owner, link), stopped.create_importer()
    fakes.storage.cut_after = [STEP]
    importer.import_next()
    stopped.expire_leases()
    fakes.storage.uses = 0  # of the next address that is signed: it is refused
    importer.import_next()
    stopped.expire_leases()
    fakes.storage.uses = 1
    importer.import_next()
    assert fakes.storage.ranges == [None, f"bytes={STEP}-"]
    assert stopped.owner.get(f"/imports/{import_id}").json()["import_state"] == "done"


@pytest.mark.slow
def test_import_next_in_another_process_continues_at_the_start_of_the_unfinished_part(
    stopped: Stopped, fakes: FakeSources, link: str, large: bytes
) -> None:
    import_id = start(stopped.owner, link)
    fakes.storage.cut_after = [PART + STEP]
    stopped.create_importer().import_next()
    stopped.expire_leases()
    stopped.create_importer().import_next()
    assert fakes.storage.ranges == [None, f"bytes={PART}-"]
    assert stopped.owner.get(f"/imports/{import_id}").json()["import_state"] == "done"


@pytest.mark.slow
def test_import_next_other_content_after_an_unfinished_part_starts_anew(
    stopped: Stopped, fakes: FakeSources, large: bytes
) -> None:
    fakes.storage.file, fakes.storage.cut_after = large, [STEP]
    import_id = start(stopped.owner, f"{fakes.storage.server.address}/file/ink.safetensors")
    importer = stopped.create_importer()
    importer.import_next()
    stopped.expire_leases()
    fakes.storage.file, fakes.storage.etag = large[:-1000] + bytes(1000), '"second"'
    importer.import_next()
    assert fakes.storage.ranges == [None, f"bytes={STEP}-"]
    done = stopped.owner.get(f"/imports/{import_id}").json()
    assert stopped.owner.get(f"/models/{done['model_id']}").json()["file_hash"] == hash_of(fakes.storage.file)


@pytest.mark.slow
@pytest.mark.parametrize("is_declared", [False, True], ids=["no hash", "declared hash"])
@pytest.mark.parametrize("says_size", [True, False], ids=["with size", "without size"])
def test_import_next_bytes_that_change_under_one_etag_are_refused_or_recorded(
    stopped: Stopped, fakes: FakeSources, large: bytes, says_size: bool, is_declared: bool
) -> None:
    fakes.storage.file, fakes.storage.says_size, fakes.storage.cut_after = large, says_size, [PART + STEP]
    declared = {"file_hash": hash_of(large)} if is_declared else {}
    import_id = start(stopped.owner, f"{fakes.storage.server.address}/file/ink.safetensors", **declared)
    importer = stopped.create_importer()
    importer.import_next()
    assert stopped.owner.get(f"/imports/{import_id}").json()["relies_on_etag"] is False
    stopped.expire_leases()
    fakes.storage.file = large[:-1000] + bytes(1000)
    importer.import_next()
    record = stopped.owner.get(f"/imports/{import_id}").json()
    expected = ("failed", "source_changed", False) if is_declared else ("done", None, True)
    assert (record["import_state"], record["error_code"], record["relies_on_etag"]) == expected


def test_find_returns_the_bytes_of_the_same_part_and_content_only() -> None:
    parts = UnfinishedParts()
    assert parts.keep("one", UnfinishedPart(5, [b"ab", b"c"]), ETAG) == 3
    assert parts.find("one", 5, ETAG) == b"abc"
    assert [parts.find("one", 0, ETAG), parts.find("one", 5, None), parts.find("other", 5, ETAG)] == [b""] * 3
    parts.drop("one")
    assert parts.find("one", 5, ETAG) == b""


def test_keep_more_than_fits_is_left_out_until_others_are_old() -> None:
    moment = [0.0]
    parts = UnfinishedParts(max_bytes=5, clock=lambda: moment[0])
    assert parts.keep("one", UnfinishedPart(0, [b"abc"]), ETAG) == 3
    assert parts.keep("two", UnfinishedPart(0, [b"abc"]), ETAG) == 0
    assert parts.keep("one", UnfinishedPart(0, [b"abcde"]), ETAG) == 5
    moment[0] = KEPT_SECONDS
    assert parts.keep("two", UnfinishedPart(0, [b"abc"]), ETAG) == 3
    assert parts.find("one", 0, ETAG) == b""


def test_keep_without_a_strong_etag_keeps_nothing() -> None:
    parts = UnfinishedParts()
    assert parts.keep("one", UnfinishedPart(0, [b"abc"]), None) == 0
