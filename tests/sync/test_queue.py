"""Which actions may begin beside which others."""

from dataclasses import replace
from datetime import timedelta

import pytest

from modelyard.sync.apply.errors import NotPlaced
from modelyard.sync.apply.queue import MAX_IDLE, SMALL_BYTES, ActionQueue, Job
from modelyard.sync.apply.replica_states import Hindrance, ReplicaState, build_replica_state
from modelyard.sync.planning.actions import Action, Fetch, Plan
from modelyard.wire.agents.manifests import ManifestEntry
from modelyard.wire.folders.manifest import FolderFile
from tests.sync.factories import GB, NOW, SimulatedDisk, build_entry

PARALLEL = 2


def build_large_entry(number: int) -> ManifestEntry:
    """Build a large model; the lower the number, the more desired."""
    return build_entry(f"loras/large{number}.pt", file_size=10 * GB, updated_at=NOW - timedelta(days=number))


def build_small_entry(number: int, size: int = SMALL_BYTES) -> ManifestEntry:
    return build_entry(f"loras/small{number}.pt", file_size=size, updated_at=NOW - timedelta(days=number))


def build_queue(plan: Plan) -> ActionQueue:
    queue = ActionQueue(PARALLEL)
    for action in (*plan.place_actions, *plan.remove):
        queue.add(Job(action))
    return queue


def start_all(queue: ActionQueue, *, may_remove: bool = True) -> list[Job]:
    """Start all jobs that may begin, and return them."""
    jobs: list[Job] = []
    while (job := queue.start_next(may_remove=may_remove)) is not None:
        jobs.append(job)
    return jobs


def build_state(job: Job, hindrance: Hindrance | None) -> ReplicaState:
    """Build the state of a download that is in progress, with why it receives nothing."""
    assert isinstance(job.action, Fetch)
    return replace(build_replica_state(job.action.desired, "downloading"), hindrance=hindrance)


def get_names(jobs: list[Job]) -> list[str]:
    return [job.action.target.path.stem for job in jobs]


def test_action_queue_removals_and_small_files_begin_beside_large_downloads() -> None:
    disk = SimulatedDisk()
    disk.add_placed_file("loras/gone.pt")
    queue = build_queue(disk.plan(*map(build_large_entry, range(PARALLEL))))
    assert sorted(get_names(start_all(queue))) == ["gone", "large0", "large1"]

    queue.add(Job(disk.plan(build_small_entry(0)).fetch[0]))
    queue.add(Job(disk.plan(build_large_entry(2)).fetch[0]))

    assert get_names(start_all(queue)) == ["small0"]
    [waiting] = queue.list_waiting()
    assert queue.get_waiting_reason(waiting) == "Queued: other downloads are running."


def test_action_queue_each_size_class_has_slots_of_its_own_and_begins_in_desired_order() -> None:
    queue = build_queue(
        SimulatedDisk().plan(
            *(build_small_entry(number) for number in (3, 2, 1)), build_small_entry(4, size=1000), build_large_entry(0)
        )
    )
    assert get_names(start_all(queue)) == ["small4", "small1", "small2", "large0"]


@pytest.mark.parametrize("hindrance", ["failing", "stalled"])
def test_action_queue_download_that_receives_nothing_takes_no_slot_until_it_receives_again(
    hindrance: Hindrance,
) -> None:
    queue = build_queue(SimulatedDisk().plan(*map(build_large_entry, range(PARALLEL + 2))))

    first, second = start_all(queue)
    first.replica_state = build_state(first, hindrance)

    assert get_names(start_all(queue)) == ["large2"]
    first.replica_state = build_state(first, None)
    queue.finish(second)
    assert start_all(queue) == []


def start_idle(queue: ActionQueue, hindrance: Hindrance) -> list[Job]:
    """Start downloads that receive nothing until no other begins, and return them."""
    started: list[Job] = []
    while jobs := start_all(queue):
        for job in jobs:
            job.replica_state = build_state(job, hindrance)
        started += jobs
    return started


def test_action_queue_too_many_downloads_that_receive_nothing_take_the_slots() -> None:
    queue = build_queue(SimulatedDisk().plan(*map(build_large_entry, range(MAX_IDLE + 3 * PARALLEL))))
    started = start_idle(queue, "stalled")
    assert len(started) == MAX_IDLE + PARALLEL
    assert queue.list_excess_failing() == []
    started[0].replica_state = build_state(started[0], None)
    assert start_all(queue) == []
    queue.finish(started[1])
    assert len(start_all(queue)) == 1


def test_action_queue_of_too_many_failing_downloads_those_with_least_are_in_excess_until_given_up() -> None:
    queue = build_queue(SimulatedDisk().plan(*map(build_large_entry, range(MAX_IDLE + 3 * PARALLEL))))
    started = start_idle(queue, "failing")
    last = started[-1]
    last.replica_state = replace(build_state(last, "failing"), bytes_done=1)
    excess = queue.list_excess_failing()
    assert excess == list(reversed(started[-PARALLEL - 1 : -1]))
    for job in excess:
        job.given_up = NotPlaced("failed", "The store refused the request: 500.")
    assert queue.list_excess_failing() == []
    assert start_all(queue) == []


def test_action_queue_large_files_begin_in_desired_order() -> None:
    queue = build_queue(SimulatedDisk().plan(build_large_entry(2), build_large_entry(0), build_large_entry(1)))
    assert get_names(start_all(queue)) == ["large0", "large1"]


def test_action_queue_new_folders_with_one_large_file_do_not_run_at_the_same_time() -> None:
    [fetch] = SimulatedDisk().plan(build_large_entry(0)).fetch
    size = SMALL_BYTES + 1
    files = [(FolderFile("a.pt", "a" * 64, size),), (FolderFile("b.pt", "a" * 64, size),)]
    queue = ActionQueue(PARALLEL)
    for number, listed in enumerate(files):
        desired = replace(fetch.desired, sha256=f"{number}" * 64, size=size, is_folder=True, files=listed)
        target = replace(fetch.target, name=f"folder{number}")
        queue.add(Job(Fetch(desired, target)))

    [first] = start_all(queue)
    queue.finish(first)

    assert get_names([first, *start_all(queue)]) == ["folder0", "folder1"]


def test_action_queue_removals_without_approval_do_not_begin() -> None:
    disk = SimulatedDisk()
    disk.add_placed_file("loras/gone.pt")
    queue = build_queue(disk.plan())
    assert start_all(queue, may_remove=False) == []
    assert get_names(start_all(queue)) == ["gone"]


def test_action_queue_removal_waits_for_action_using_its_file() -> None:
    disk = SimulatedDisk()
    disk.add_placed_file("loras/old.pt", "the same")
    queue = build_queue(disk.plan(build_entry("loras/new.pt", "the same")))
    [adoption] = start_all(queue)
    assert adoption.action.target.path.stem == "new"
    queue.finish(adoption)
    assert get_names(start_all(queue)) == ["old"]


def test_action_queue_copy_of_planned_source_waits_and_reports_it() -> None:
    queue = build_queue(
        SimulatedDisk().plan(build_entry("loras/first.pt", "the same"), build_entry("loras/second.pt", "the same"))
    )
    [first] = start_all(queue)
    [second] = queue.list_waiting()
    assert (
        queue.get_waiting_reason(second)
        == f'Queued: waiting for "{first.action.target.path.name}", which has the same content.'
    )
    assert queue.list_dependents(first) == [second]
    queue.finish(first)
    assert start_all(queue) == [second]


def test_action_queue_actions_of_one_path_never_run_together() -> None:
    one, other = (SimulatedDisk().plan(build_entry("loras/ink.pt", content)).fetch[0] for content in ("one", "other"))
    queue = ActionQueue(PARALLEL)
    queue.add(Job(one))
    [running] = start_all(queue)
    queue.add(Job(other))
    assert start_all(queue) == []
    queue.finish(running)
    assert [job.action for job in start_all(queue)] == [other]


def test_action_queue_blocked_action_does_not_delay_its_lane() -> None:
    disk = SimulatedDisk()
    for name in ("a", "b"):
        disk.add_placed_file(f"loras/{name}.pt")
    queue = build_queue(disk.plan())
    [first] = start_all(queue)
    first.blocked_reason = "A prompt in ComfyUI's queue names it."
    queue.requeue(first)
    assert get_names(start_all(queue)) == ["b"]


def test_action_queue_dropped_action_does_not_delay_others() -> None:
    disk = SimulatedDisk()
    disk.add_placed_file("loras/old.pt", "the same")
    plan = disk.plan(build_entry("loras/new.pt", "the same"))
    actions: tuple[Action, ...] = (replace(plan.copy_local[0]), *plan.remove)
    jobs = [Job(action) for action in actions]
    queue = ActionQueue(PARALLEL)
    for job in jobs:
        queue.add(job)
    queue.drop(jobs[0])
    assert get_names(start_all(queue)) == ["old"]
