"""When pictures that could not be written are tried again."""

from pathlib import Path

import pytest

from modelyard.agent.reconciliation.failed_pictures import FailedPictures, get_busy_wait
from modelyard.sync.apply.errors import NotPlaced
from modelyard.sync.inventory.roots import RootOnDisk
from modelyard.sync.planning.actions import Target
from modelyard.sync.previews.planner import WritePreview
from modelyard.wire.problems import PreviewNotFound, Problem, Unavailable

FOLDER = Path("/models/loras")
BUSY = Unavailable("The registry is busy.", retry_after=2)


@pytest.fixture
def action() -> WritePreview:
    root = RootOnDisk("loras", FOLDER, FOLDER, FOLDER / ".modelyard", 1, 1)
    return WritePreview(Target(root, "ink.preview.png"), "a" * 64)


@pytest.mark.parametrize(
    ("failures", "seconds"),
    [
        pytest.param([NotPlaced("blocked", "The folder is read-only.")], 3600, id="disk"),
        pytest.param([PreviewNotFound("There is no such picture.")], 3600, id="missing"),
        pytest.param([BUSY], 60, id="busy"),
        pytest.param([BUSY] * 3, 240, id="busy three times"),
        pytest.param([BUSY] * 2000, 3600, id="busy for days"),
    ],
)
def test_failed_picture_is_due_after(action: WritePreview, failures: list[NotPlaced | Problem], seconds: float) -> None:
    pictures = FailedPictures()
    for failure in failures:
        pictures.record_failure(action, failure)
    assert not pictures.is_due(action)
    assert pictures.get_wait() == pytest.approx(seconds, abs=5)
    assert len(pictures.list_lines()) == 1


def test_failed_picture_that_is_written_or_not_desired_any_more_is_dropped(action: WritePreview) -> None:
    pictures = FailedPictures()
    pictures.record_failure(action, BUSY)
    pictures.record_success(action)
    assert (pictures.is_due(action), pictures.get_wait(), pictures.list_lines()) == (True, float("inf"), [])
    pictures.record_failure(action, BUSY)
    pictures.keep_only(())
    assert (pictures.is_due(action), pictures.get_wait(), pictures.list_lines()) == (True, float("inf"), [])


@pytest.mark.parametrize(
    ("retry_after", "seconds"), [(2, 2), (10**400, 10), (-1, 0), ("soon", 1), (float("nan"), 1), (None, 1)]
)
def test_busy_wait_is_that_of_the_registry_within_bounds(retry_after: object, seconds: float) -> None:
    assert get_busy_wait(Unavailable("The registry is busy.", retry_after=retry_after)) == seconds


def test_busy_wait_is_0_for_other_failures() -> None:
    assert get_busy_wait(PreviewNotFound("There is no such picture.")) == 0
