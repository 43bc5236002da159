"""Metrics of verification and of periodic jobs."""

import threading

from modelyard.server.http.middleware.metrics import Metrics
from modelyard.server.scheduler.job import Job
from modelyard.server.scheduler.scheduler import Scheduler
from modelyard.wire.problems import Unavailable
from tests.server.harness import Harness
from tests.waiting import PATIENCE_SECONDS, wait_until

GAUGES = ("modelyard_pending_files", "modelyard_oldest_pending_seconds", "modelyard_failed_files")


def test_metrics_with_all_models_verified_show_zero_pending_and_failed_files(module_registry: Harness) -> None:
    module_registry.owner.register()
    zeros = {f"{name} 0.0" for name in GAUGES}
    # Metrics may be cached for a second.
    wait_until(lambda: zeros <= set(module_registry.client.get("/metrics").text.splitlines()))


def test_job_metrics_of_failing_and_succeeding_job_count_failures_and_time_of_success(module_registry: Harness) -> None:
    failures, successes, metrics = threading.Semaphore(0), threading.Semaphore(0), Metrics()

    def fail() -> bool:
        failures.release()
        raise Unavailable("busy")

    def work() -> bool:
        successes.release()
        return False

    jobs = Scheduler(module_registry.resources, metrics, [Job("failing", 0.01, fail), Job("good", 0.01, work)])
    jobs.start()
    # The first run of a job is counted once the second one begins.
    assert all(runs.acquire(timeout=PATIENCE_SECONDS) for runs in (failures, failures, successes, successes))
    jobs.stop()
    value = metrics.registry.get_sample_value
    assert (value("modelyard_job_failures_total", {"job": "failing"}) or 0) >= 1
    assert value("modelyard_job_failures_total", {"job": "good"}) is None
    assert value("modelyard_job_done_timestamp_seconds", {"job": "failing"}) is None
    assert (value("modelyard_job_done_timestamp_seconds", {"job": "good"}) or 0) > 1e9
