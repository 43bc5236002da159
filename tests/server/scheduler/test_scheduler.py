"""The scheduler of periodic jobs: retries, stopping, and repeated runs."""

import threading
from dataclasses import replace

import pytest

from modelyard.server.http.middleware.metrics import Metrics
from modelyard.server.scheduler import scheduler
from modelyard.server.scheduler.job import Job
from modelyard.server.scheduler.jobs import build_jobs
from modelyard.server.scheduler.scheduler import Scheduler
from modelyard.wire.problems import Unavailable
from tests.server.harness import Harness
from tests.waiting import PATIENCE_SECONDS


def test_build_jobs_returns_all_jobs_and_none_has_work_on_an_empty_registry(module_registry: Harness) -> None:
    jobs = build_jobs(module_registry.resources, Metrics())
    names = ["verification", "scrubber", "recheck", "hashes", "previews", "inspection", "imports", "old imports"]
    assert [job.name for job in jobs] == [
        *names,
        "source checks",
        "clean-up",
        "thorough clean-up",
        "key use",
        "offline machines",
        "due machines",
        "roll-outs",
        "quotas",
        "webhook events",
        "webhooks",
        "old deliveries",
    ]
    assert not any(job.do() for job in jobs)


def test_build_jobs_without_verification_workers_leaves_files_to_other_processes(module_registry: Harness) -> None:
    settings = module_registry.resources.settings.model_copy(update={"verification_workers": 0})
    jobs = build_jobs(replace(module_registry.resources, settings=settings), Metrics())
    assert not {"verification", "previews", "inspection"} & {job.name for job in jobs}


@pytest.mark.parametrize("failure", [Unavailable("busy"), OSError("disk"), ValueError("a bug")])
def test_scheduler_job_that_raises_is_run_again(module_registry: Harness, failure: Exception) -> None:
    attempts = threading.Semaphore(0)

    def fail() -> bool:
        attempts.release()
        raise failure

    jobs = Scheduler(module_registry.resources, Metrics(), [Job("failing", 0.01, fail)])
    jobs.start()
    assert all(attempts.acquire(timeout=PATIENCE_SECONDS) for _ in range(3))
    jobs.stop()


def test_scheduler_stop_waits_for_the_running_job_and_may_be_repeated(
    module_registry: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduler, "STOP_SECONDS", PATIENCE_SECONDS)
    has_started, may_end, has_ended = threading.Event(), threading.Event(), threading.Event()

    def work() -> bool:
        has_started.set()
        may_end.wait(PATIENCE_SECONDS)
        has_ended.set()
        return False

    jobs = Scheduler(module_registry.resources, Metrics(), [Job("slow", 60, work)])
    jobs.start()
    assert has_started.wait(PATIENCE_SECONDS)
    threading.Timer(0.05, may_end.set).start()
    jobs.stop()
    assert has_ended.is_set()
    jobs.stop()


def test_scheduler_job_with_more_work_is_run_again_without_waiting(module_registry: Harness) -> None:
    remaining = iter(range(5))
    is_finished = threading.Event()

    def work() -> bool:
        more = next(remaining, None) is not None
        if not more:
            is_finished.set()
        return more

    jobs = Scheduler(module_registry.resources, Metrics(), [Job("busy", 60, work)])
    jobs.start()
    assert is_finished.wait(PATIENCE_SECONDS)
    jobs.stop()
