import asyncio
import dataclasses
from pathlib import Path

import pytest

from modelyard.client.batch import push_all
from modelyard.client.push import Pushed, PushEvent, Pushing
from modelyard.client.registry import Registry
from modelyard.client.rehearsal import rehearse
from modelyard.client.selection import Notes, PushRequest
from modelyard.client.settings import ClientSettings
from modelyard.client.unfinished import UnfinishedUploads
from modelyard.transfer.network import Network, Pace
from modelyard.transfer.progress import Resumed, Sent
from modelyard.wire import problems
from modelyard.wire.teams import TeamChange
from tests.client.files import model_file

# The served registry cuts files into parts of 5 MiB above 8 MB.
FIVE_PARTS = 25_000_000


def request(file: Path, path: str = "models/loras/ink.safetensors", *, replace: bool = False) -> PushRequest:
    return PushRequest(file, path.split("/")[1], path, file.stem, Notes(tags=["portrait"]), replace)


@pytest.fixture
def events() -> list[PushEvent]:
    return []


@pytest.fixture
def pushing(registry: Registry, settings: ClientSettings, events: list[PushEvent]) -> Pushing:
    return Pushing(registry, settings, events.append)


def sent(events: list[PushEvent]) -> int:
    return max((event.done for event in events if isinstance(event, Sent)), default=0)


async def test_a_pushed_file_is_a_verified_model(pushing: Pushing, tmp_path: Path, events: list[PushEvent]) -> None:
    file = model_file(tmp_path / "ink.safetensors")
    pushed = await pushing.push(request(file))
    assert pushed.outcome == "registered"
    assert pushed.model is not None
    assert (pushed.model.verification, pushed.model.tags, pushed.model.display_name) == (
        "verified",
        ["portrait"],
        "ink",
    )
    assert sent(events) == file.stat().st_size


async def test_the_same_push_again_changes_and_sends_nothing(
    pushing: Pushing, tmp_path: Path, events: list[PushEvent]
) -> None:
    file = model_file(tmp_path / "ink.safetensors")
    first = await pushing.push(request(file))
    events.clear()
    again = await pushing.push(request(file))
    assert again.outcome == "already there"
    assert again.model == first.model
    assert sent(events) == 0


@pytest.mark.parametrize("size", [1000, FIVE_PARTS])
async def test_bytes_that_the_team_holds_are_not_sent_for_another_path(
    pushing: Pushing, tmp_path: Path, events: list[PushEvent], size: int
) -> None:
    await pushing.push(request(model_file(tmp_path / "ink.safetensors", size)))
    events.clear()
    pushed = await pushing.push(
        request(model_file(tmp_path / "copy.safetensors", size), "models/loras/copy.safetensors")
    )
    assert pushed.outcome == "registered"
    assert sent(events) == 0


@pytest.mark.parametrize("size", [1000, 1001])
async def test_a_taken_path_is_refused_before_the_first_byte(
    pushing: Pushing, tmp_path: Path, events: list[PushEvent], size: int
) -> None:
    first = await pushing.push(request(model_file(tmp_path / "ink.safetensors", 1000)))
    events.clear()
    other = model_file(tmp_path / "other.safetensors", size, seed=2)
    with pytest.raises(problems.ModelPathTaken) as refused:
        await pushing.push(request(other, "models/loras/INK.safetensors"))
    assert first.model is not None
    assert refused.value.facts["model_id"] == str(first.model.id)
    assert sent(events) == 0


@pytest.mark.parametrize("size", [1000, 1001])
async def test_replacing_swaps_the_bytes_behind_a_path(
    pushing: Pushing, registry: Registry, tmp_path: Path, size: int
) -> None:
    """A LoRA that was trained again has the old size, and then its hash is known before anything is asked."""
    first = await pushing.push(request(model_file(tmp_path / "ink.safetensors", 1000)))
    new = model_file(tmp_path / "new.safetensors", size, seed=2)
    pushed = await pushing.push(request(new, replace=True))
    assert pushed.outcome == "replaced"
    living = (await registry.list_models()).model_list
    assert [model.id for model in living] == [pushed.model.id if pushed.model else None]
    assert first.model is not None
    assert living[0].file_hash != first.model.file_hash


async def test_a_file_over_the_quota_is_refused_before_the_first_byte(
    pushing: Pushing, registry: Registry, tmp_path: Path, events: list[PushEvent]
) -> None:
    await registry.update_team(TeamChange(quota_bytes=500))
    with pytest.raises(problems.QuotaExceeded):
        await pushing.push(request(model_file(tmp_path / "ink.safetensors")))
    assert sent(events) == 0


async def test_what_is_no_model_is_refused(pushing: Pushing, tmp_path: Path) -> None:
    file = tmp_path / "ink.safetensors"
    file.write_text("<!DOCTYPE html><html>Sign in first</html>")
    with pytest.raises(problems.NotAModelFile):
        await pushing.push(request(file))


async def test_a_push_that_was_cut_off_goes_on_with_the_missing_parts(
    registry: Registry, settings: ClientSettings, tmp_path: Path, events: list[PushEvent]
) -> None:
    file = model_file(tmp_path / "ink.safetensors", FIVE_PARTS)
    far = asyncio.Event()

    def hear(event: PushEvent) -> None:
        if isinstance(event, Sent) and event.done > 22_000_000:
            far.set()

    # Four connections share the pace, so four parts are whole when the fifth begins.
    slow = Pushing(registry, settings, hear, network=Network(pace=Pace(5_000_000)))
    task = asyncio.create_task(slow.push(request(file)))
    await asyncio.wait_for(far.wait(), 60)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    pushed = await Pushing(registry, settings, events.append).push(request(file))
    assert pushed.outcome == "registered"
    kept = next(event.kept for event in events if isinstance(event, Resumed))
    assert kept >= 3 * 5_242_880
    assert min(event.done for event in events if isinstance(event, Sent)) >= kept
    assert await asyncio.to_thread(lambda: list((settings.state_dir / "uploads").iterdir())) == []


async def test_an_upload_that_the_registry_gave_up_is_begun_anew(
    registry: Registry, settings: ClientSettings, tmp_path: Path, events: list[PushEvent]
) -> None:
    file = model_file(tmp_path / "ink.safetensors", FIVE_PARTS)
    begun = asyncio.Event()
    slow = Pushing(registry, settings, lambda _: begun.set(), network=Network(pace=Pace(5_000_000)))
    task = asyncio.create_task(slow.push(request(file)))
    await asyncio.wait_for(begun.wait(), 20)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    uploads = UnfinishedUploads(settings.state_dir / "uploads")
    (note,) = await asyncio.to_thread(lambda: list((settings.state_dir / "uploads").glob("*.json")))
    remembered = await uploads.find(note.stem)
    assert remembered is not None
    gone = remembered.storage_key[:-4] + "0000"
    await uploads.keep(note.stem, remembered.model_copy(update={"storage_key": gone}))

    pushed = await Pushing(registry, settings, events.append).push(request(file))
    assert pushed.outcome == "registered"
    assert not [event for event in events if isinstance(event, Resumed)]


async def test_a_file_that_fails_leaves_the_others_alone(pushing: Pushing, tmp_path: Path) -> None:
    (tmp_path / "page.safetensors").write_text("<html></html>" * 10)
    good = [model_file(tmp_path / f"{number}.safetensors", 1000 + number) for number in range(3)]
    files = [good[0], tmp_path / "page.safetensors", *good[1:]]
    heard: list[Path] = []

    def tell(result: Pushed) -> None:
        heard.append(result.file)

    results = await push_all(pushing, [request(file, f"models/loras/{file.name}") for file in files], 2, tell)
    assert [result.outcome for result in results] == ["registered", "failed", "registered", "registered"]
    assert isinstance(results[1].failure, problems.NotAModelFile)
    assert sorted(heard) == sorted(files)


async def test_an_ended_session_ends_the_whole_push(
    settings: ClientSettings, registry: Registry, tmp_path: Path
) -> None:
    file = model_file(tmp_path / "ink.safetensors")
    async with Registry(registry.url, "sk-" + "a" * 49) as stranger:
        with pytest.raises(problems.Unauthenticated):
            await push_all(Pushing(stranger, settings, lambda _: None), [request(file)], 2, lambda _: None)


async def test_a_rehearsal_says_what_would_happen_and_changes_nothing(
    pushing: Pushing, registry: Registry, settings: ClientSettings, tmp_path: Path
) -> None:
    ink = model_file(tmp_path / "ink.safetensors")
    await pushing.push(request(ink))
    other = model_file(tmp_path / "other.safetensors", seed=2)
    asked = [request(ink), request(other), request(other, replace=True), request(other, "models/loras/b.safetensors")]
    plans = await rehearse(registry, settings, asked)
    assert [plan.action for plan in plans] == [
        "skip (already there)",
        "be refused (other bytes are there)",
        "replace",
        "push",
    ]
    assert len((await registry.list_models()).model_list) == 1


def test_a_request_knows_two_spellings_of_one_path(tmp_path: Path) -> None:
    one = request(tmp_path / "a", "models/loras/Ink.safetensors")
    assert one.path_key == dataclasses.replace(one, model_path="loras/ink.safetensors").path_key
