"""What the server does by the clock."""

import threading

import pytest

from modelyard.server.chores import Chore, Chores, chores_of
from modelyard.server.observed import Metrics
from modelyard.wire.problems import Unavailable
from tests.server.world import World


def test_the_registry_verifies_cleans_up_and_notes_key_use_and_absences(module_world: World) -> None:
    chores = chores_of(module_world.parts, Metrics())
    names = ["verification", "scrubber", "clean-up", "sweep", "key use", "absences"]
    assert [chore.name for chore in chores] == names
    assert not any(chore.do() for chore in chores)


@pytest.mark.parametrize("failure", [Unavailable("busy"), OSError("disk"), ValueError("a bug")])
def test_a_chore_that_fails_is_tried_again(module_world: World, failure: Exception) -> None:
    tried = threading.Semaphore(0)

    def fail() -> bool:
        tried.release()
        raise failure

    chores = Chores(module_world.parts, Metrics(), [Chore("failing", 0.01, fail)])
    chores.start()
    assert all(tried.acquire(timeout=10) for _ in range(3))
    chores.stop()


def test_stop_waits_for_what_is_under_way_and_may_be_repeated(module_world: World) -> None:
    begun, may_end, has_ended = threading.Event(), threading.Event(), threading.Event()

    def work() -> bool:
        begun.set()
        may_end.wait(10)
        has_ended.set()
        return False

    chores = Chores(module_world.parts, Metrics(), [Chore("slow", 60, work)])
    chores.start()
    assert begun.wait(10)
    threading.Timer(0.05, may_end.set).start()
    chores.stop()
    assert has_ended.is_set()
    chores.stop()


def test_a_chore_with_more_to_do_goes_on_at_once(module_world: World) -> None:
    left = iter(range(5))
    done = threading.Event()

    def work() -> bool:
        more = next(left, None) is not None
        if not more:
            done.set()
        return more

    chores = Chores(module_world.parts, Metrics(), [Chore("busy", 60, work)])
    chores.start()
    assert done.wait(10)
    chores.stop()
