"""Queue the actions of the newest plan and decide which may begin beside those that run.

Actions are independent, with three exceptions:

- Two that use the same file, or files of the same content, never run at the same time.
- One whose source another action of the plan creates runs after that action.
- A removal runs after the actions that use its content.

Removals, local copies and the downloads of each size class have separate slots, so none of them waits for another. A
download whose store fails or sends nothing takes no slot, if not too many do so.
"""

import threading
from bisect import insort
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Literal

from modelyard.client.api.download_urls import ExpectedDownload
from modelyard.comfyui.quoting import quoted
from modelyard.sync.apply.errors import NotPlaced
from modelyard.sync.apply.replica_states import Hindrance, ReplicaState
from modelyard.sync.desired import get_sort_key
from modelyard.sync.planning.actions import Action, Fetch, Plan, Remove, Replace, Source
from modelyard.transfer.limited_transfer import SIZE_CLASSES, get_size_class

# Downloads have one for each size class.
Lane = Literal["removal", "local"] | int

SMALL_BYTES = SIZE_CLASSES[2]
# Downloads that receive nothing beside those that take a slot; each keeps a few threads and an open file.
MAX_IDLE = 32


@dataclass(eq=False)
class Job:
    """One action in progress. ``replica_state``: the last reported state; None for a removal that has not ended."""

    action: Action
    blocked_reason: str | None = None  # why it may not begin or continue, although it is due
    replica_state: ReplicaState | None = None
    is_desired: bool = True  # whether the newest plan contains it
    given_up: NotPlaced | None = None  # why it was ended as failed
    stopped: threading.Event = field(default_factory=threading.Event)

    @cached_property
    def rank(self) -> tuple[float, int, str]:
        """Return the order in which actions of one lane begin."""
        path = str(self.action.target.path)
        return (0.0, 0, path) if isinstance(self.action, Remove) else get_sort_key(self.action.desired)

    @property
    def hindrance(self) -> Hindrance | None:
        """Return why a download receives nothing now; None if it does, or if the action is no download."""
        return None if self.replica_state is None else self.replica_state.hindrance


class ActionQueue:
    """The waiting and the running jobs. ``parallel``: how many jobs of one lane run at once."""

    def __init__(self, parallel: int) -> None:
        downloads = range(len(SIZE_CLASSES) + 1)
        self._slots: dict[Lane, int] = {"removal": 1, "local": parallel, **dict.fromkeys(downloads, parallel)}
        self._waiting: dict[Lane, list[Job]] = {lane: [] for lane in self._slots}
        self.running: dict[Job, None] = {}  # in the order in which they began
        self._in_use: Counter[Path | str] = Counter()  # paths and hashes that running jobs use
        self._paths_to_make: Counter[Path] = Counter()  # target paths of jobs that have not ended
        self._source_paths: Counter[Path] = Counter()  # source paths of jobs that have not ended

    def list_waiting(self) -> Iterator[Job]:
        """Yield all waiting jobs, lane by lane. The queue must not change meanwhile."""
        for jobs in self._waiting.values():
            yield from jobs

    def add(self, job: Job) -> None:
        """Add a waiting job."""
        insort(self._waiting[get_lane(job.action)], job, key=lambda job: job.rank)
        self._count(job, 1)

    def drop(self, job: Job) -> None:
        """Remove a waiting job; one that runs must not be passed."""
        self._waiting[get_lane(job.action)].remove(job)
        self._count(job, -1)

    def start_next(self, *, may_remove: bool) -> Job | None:
        """Move the next job that may begin to the running ones, and return it; None if there is none.

        The paths that it uses count as used from now on.
        """
        for lane, jobs in self._waiting.items():
            if not jobs or not self._has_free_slot(lane) or (lane == "removal" and not may_remove):
                continue
            job = next((job for job in jobs if self._can_start(job)), None)
            if job is not None:
                jobs.remove(job)
                self._in_use.update(_get_used(job.action))
                self.running[job] = None
                return job
        return None

    def finish(self, job: Job) -> None:
        """Remove a running job that has ended, whatever its result, and free its slot."""
        del self.running[job]
        self._in_use.subtract(_get_used(job.action))
        self._count(job, -1)

    def requeue(self, job: Job) -> None:
        """Move a running job back to the waiting ones, because it is blocked."""
        self.finish(job)
        self.add(job)

    def list_dependents(self, job: Job) -> list[Job]:
        """Return the waiting jobs whose planned source is the file that this job creates; direct ones only."""
        path = job.action.target.path
        sources = ((each, _get_source(each.action)) for each in self.list_waiting())
        return [each for each, source in sources if source and source.kind == "planned" and source.path == path]

    def get_waiting_reason(self, job: Job) -> str:
        """Return a sentence that says what a queued job waits for."""
        source = _get_source(job.action)
        if source is not None and source.kind == "planned" and self._paths_to_make[source.path]:
            return f"Queued: waiting for {quoted(source.path.name)}, which has the same content."
        lane = get_lane(job.action)
        if isinstance(lane, int) and not self._has_free_slot(lane):
            return "Queued: other downloads are running."
        return "Queued."

    def list_excess_failing(self) -> list[Job]:
        """Return the failing downloads above ``MAX_IDLE`` that have received least, without those already given up.

        Of those with as much, the ones that began last.
        """
        failing = [job for job in reversed(self.running) if job.hindrance == "failing" and job.given_up is None]
        return sorted(failing, key=_get_bytes_done)[: max(0, len(failing) - MAX_IDLE)]

    def _has_free_slot(self, lane: Lane) -> bool:
        """Return whether another job of a lane may begin; the first ``MAX_IDLE`` idle downloads take no slot."""
        idle = set(islice((job for job in self.running if job.hindrance is not None), MAX_IDLE))
        return sum(get_lane(job.action) == lane for job in self.running if job not in idle) < self._slots[lane]

    def _can_start(self, job: Job) -> bool:
        """Return whether a job is not blocked, uses no file in use, and waits for no other job."""
        action, source = job.action, _get_source(job.action)
        if job.blocked_reason is not None or any(self._in_use[used] for used in _get_used(action)):
            return False
        if isinstance(action, Remove):
            return not self._source_paths[action.placement.path]
        return source is None or source.kind != "planned" or not self._paths_to_make[source.path]

    def _count(self, job: Job, step: int) -> None:
        """Add ``step`` (1 or -1) to the counts of the paths that a job reads from and places at."""
        source = _get_source(job.action)
        if source is not None:
            self._source_paths[source.path] += step
        if not isinstance(job.action, Remove):
            self._paths_to_make[job.action.target.path] += step


def list_expected_downloads(plan: Plan) -> list[ExpectedDownload]:
    """Return the downloads of a plan in the order in which they begin."""
    # The URLs of a folder's files are requested one page after the other.
    files = (each for each in plan.downloads if not each.is_folder)
    downloads = sorted(files, key=lambda each: (get_size_class(each.size), get_sort_key(each)))
    return [ExpectedDownload(each.id, each.version, each.size) for each in downloads]


def get_lane(action: Action) -> Lane:
    """Return the lane of which an action takes a slot; that of a download is its size class."""
    if isinstance(action, Remove):
        return "removal"
    if _get_source(action) is not None:
        return "local"
    return get_size_class(action.desired.size)


def get_action_key(action: Action) -> tuple[object, ...]:
    """Return what is equal for the same action in two plans; a download and a local copy of a file differ."""
    if isinstance(action, Remove):
        return ("remove", action.placement.path, action.placement.sha256)
    kind = "download" if _get_source(action) is None else "local"
    return (kind, action.target.path, action.desired.sha256, action.desired.id, action.desired.version)


def get_touched(action: Action) -> frozenset[Path | str]:
    """Return the paths and hashes that an action reads, places, replaces or removes."""
    if isinstance(action, Remove):
        return frozenset({action.placement.path, action.target.path, action.placement.sha256})
    used: set[Path | str] = {action.target.path, action.desired.sha256}
    if (source := _get_source(action)) is not None:
        used.add(source.path)
    if isinstance(action, Replace):
        used |= {action.old_placement.path, action.old_placement.sha256}
    return frozenset(used)


def _get_used(action: Action) -> frozenset[Path | str]:
    """Return what no two running actions may have both: what they touch, and the large files of folders.

    So a large file that several new folders have is downloaded once, and copied by those that begin later.
    """
    if isinstance(action, Remove):
        return get_touched(action)
    large = (file.sha256 for file in action.desired.files if file.size > SMALL_BYTES)
    return get_touched(action).union(large)


def _get_bytes_done(job: Job) -> int:
    """Return how many bytes of a job's download have been received."""
    return 0 if job.replica_state is None else job.replica_state.bytes_done


def _get_source(action: Action) -> Source | None:
    """Return the local source of an action; None for downloads and removals."""
    return None if isinstance(action, Fetch | Remove) else action.source
