"""A pull that is killed, or whose registry is, goes on where it stopped."""

import filecmp
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from modelyard.transfer.journal import Journal
from modelyard.transfer.network import Pace
from modelyard.transfer.spans import Spans
from modelyard.wire.problems import UrlExpired
from tests.journeys.between import AnswerInstead, Between
from tests.journeys.program import Program
from tests.journeys.sizes import MEBIBYTE, PART_SIZE, SINGLE_PUT_LIMIT
from tests.journeys.waiting import wait_for
from tests.running import RunningServer
from tests.server.world import Someone, hash_of

SIZE = 64 * MEBIBYTE
RATE = 40 * MEBIBYTE
REFUSED_URL = UrlExpired("This URL has expired; ask for a fresh one.")


@pytest.fixture
def file(modelyard: Program, new_file: Callable[[int], Path]) -> Path:
    """A file that the team has pushed."""
    file = new_file(SIZE)
    assert modelyard.run("push", file).code == 0
    return file


def noted_spans(folder: Path, file: Path) -> Spans:
    """What the journal of the one partial file in the folder says is on the disk."""
    [journal] = folder.glob(".*.journal")
    return Journal(journal, SIZE, hash_of(file.read_bytes()).removeprefix("sha256:")).read().spans


def has_noted(folder: Path, file: Path, least: int) -> bool:
    return any(folder.glob(".*.journal")) and noted_spans(folder, file).total >= least


@pytest.mark.parametrize(("percent", "least"), [(30, 1), (90, SIZE // 4)])
def test_a_pull_killed_half_way_fetches_only_what_is_missing(
    percent: int, least: int, modelyard: Program, between: Between, file: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "pulled"
    between.pace = Pace(RATE)
    with between.holding_after("GET", SIZE * percent // 100):
        pull = modelyard.start("pull", file.name, "-o", folder)
        between.wait_until_moved("GET", SIZE * percent // 100)
        wait_for(lambda: has_noted(folder, file, least))
        assert pull.end(signal.SIGKILL).code == -signal.SIGKILL
    assert not (folder / file.name).exists()
    between.wait_until_quiet()
    noted = noted_spans(folder, file)

    between.forget()
    between.pace = None
    again = modelyard.run("pull", file.name, "-o", folder)

    assert again.code == 0, again
    assert filecmp.cmp(file, folder / file.name, shallow=False)
    assert [each.name for each in folder.iterdir()] == [file.name]
    assert between.moved("GET") == SIZE - noted.total


def test_a_pull_goes_on_with_a_fresh_url_when_one_has_expired(
    modelyard: Program, between: Between, file: Path, tmp_path: Path
) -> None:
    body = b'{"error_code": "url_expired", "detail": "This URL has expired; ask for a fresh one."}'
    between.forget()
    between.once(AnswerInstead(REFUSED_URL.status, body), "GET", "/blobs/.*")

    pulled = modelyard.run("pull", file.name, "-o", tmp_path / "pulled")

    assert pulled.code == 0, pulled
    assert filecmp.cmp(file, tmp_path / "pulled" / file.name, shallow=False)
    assert len([each for each in between.exchanges if each.path.endswith("/download")]) == 2


@pytest.fixture
def own_registry(tmp_path: Path) -> Iterator[RunningServer]:
    with RunningServer(tmp_path / "data", part_size=str(PART_SIZE), single_put_limit=str(SINGLE_PUT_LIMIT)) as server:
        yield server


def test_a_pull_and_a_push_outlive_a_registry_that_is_killed_and_comes_back(
    own_registry: RunningServer, new_file: Callable[[int, str], Path], tmp_path: Path
) -> None:
    owner: Someone = own_registry.owner()
    between = Between(own_registry.url)
    modelyard = Program(tmp_path / "home", between.url, owner)
    file, other = new_file(SIZE, "ink.safetensors"), new_file(SIZE, "other.safetensors")
    assert modelyard.run("push", file).code == 0
    between.forget()
    between.pace = Pace(RATE)
    pull = modelyard.start("pull", file.name, "-o", tmp_path / "pulled")
    push = modelyard.start("push", other)
    between.wait_until_moved("GET", SIZE // 4)
    between.wait_until_moved("PUT", SIZE // 4)

    own_registry.kill()
    time.sleep(1)
    own_registry.start()
    between.lead_to(own_registry.url)

    assert pull.end().code == 0
    assert push.end().code == 0
    between.close()
    assert filecmp.cmp(file, tmp_path / "pulled" / file.name, shallow=False)
    hashes = {
        model["file_hash"] for model in Program(tmp_path / "home", own_registry.url, owner).ask("ls")["model_list"]
    }
    assert hashes == {hash_of(file.read_bytes()), hash_of(other.read_bytes())}
