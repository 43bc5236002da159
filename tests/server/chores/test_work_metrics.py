"""What an operator sees of the work that goes on by the clock."""

import threading

from modelyard.server.chores import Chore, Chores
from modelyard.server.observed import Metrics
from modelyard.wire.problems import Unavailable
from tests.server.world import World

GAUGES = ("modelyard_pending_files", "modelyard_oldest_pending_seconds", "modelyard_failed_files")


def test_how_much_waits_and_has_failed_is_asked_of_the_database(module_world: World) -> None:
    module_world.owner.register()
    said = module_world.client.get("/metrics").text.splitlines()
    assert {f"{name} 0.0" for name in GAUGES} <= set(said)


def test_failures_and_the_last_success_of_each_chore_are_counted(module_world: World) -> None:
    tried, metrics = threading.Semaphore(0), Metrics()

    def fail() -> bool:
        tried.release()
        raise Unavailable("busy")

    def work() -> bool:
        tried.release()
        return False

    chores = Chores(module_world.parts, metrics, [Chore("failing", 0.01, fail), Chore("good", 0.01, work)])
    chores.start()
    assert all(tried.acquire(timeout=10) for _ in range(6))
    chores.stop()
    value = metrics.registry.get_sample_value
    assert (value("modelyard_chore_failures_total", {"chore": "failing"}) or 0) >= 1
    assert value("modelyard_chore_failures_total", {"chore": "good"}) is None
    assert value("modelyard_chore_done_timestamp_seconds", {"chore": "failing"}) is None
    assert (value("modelyard_chore_done_timestamp_seconds", {"chore": "good"}) or 0) > 1e9
