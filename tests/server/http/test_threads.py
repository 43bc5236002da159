"""Threads for operations: results, errors and context, reuse, and cancellation."""

import asyncio
import os
import subprocess
import sys
import threading
from contextvars import ContextVar
from functools import partial
from pathlib import Path

import anyio
import pytest

from modelyard.server.http.execution.threads import SWITCH_SECONDS, OperationThreads
from tests.waiting import PATIENCE_SECONDS

_caller: ContextVar[str] = ContextVar("caller", default="nothing")


async def test_run_returns_the_result_in_the_context_of_the_caller() -> None:
    _caller.set("ada")
    thread, caller = await OperationThreads().run(lambda: (threading.current_thread(), _caller.get()))
    assert (thread is not threading.current_thread(), caller) == (True, "ada")


@pytest.mark.parametrize("error", [ValueError, StopIteration])
async def test_run_raises_what_the_function_raises(error: type[Exception]) -> None:
    def fail() -> None:
        raise error

    threads = OperationThreads()
    with pytest.raises((ValueError, RuntimeError)) as raised:
        await threads.run(fail)
    assert error in (type(raised.value), type(raised.value.__cause__))
    assert await threads.run(lambda: 1) == 1


async def test_run_one_after_the_other_uses_one_thread() -> None:
    threads = OperationThreads()
    assert len({await threads.run(threading.current_thread) for _ in range(5)}) == 1


async def test_run_two_at_once_uses_two_threads() -> None:
    threads, both = OperationThreads(), threading.Barrier(2, timeout=PATIENCE_SECONDS)
    assert sorted(await asyncio.gather(threads.run(both.wait), threads.run(both.wait))) == [0, 1]


async def test_cancel_run_takes_effect_when_the_function_has_ended() -> None:
    threads, started, release, ended = OperationThreads(), threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        started.set()
        release.wait(PATIENCE_SECONDS)
        ended.set()

    task = asyncio.create_task(threads.run(work))
    await asyncio.to_thread(started.wait, PATIENCE_SECONDS)
    for _ in range(2):
        task.cancel()
        await asyncio.sleep(0)
    assert not task.done()
    release.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()


async def test_run_long_after_the_last_call_reuses_its_thread() -> None:
    threads = OperationThreads(idle_seconds=-1)
    assert await threads.run(threading.current_thread) is await threads.run(threading.current_thread)


async def test_run_after_idle_seconds_ends_the_other_threads_without_work() -> None:
    threads, both = OperationThreads(idle_seconds=-1), threading.Barrier(2, timeout=PATIENCE_SECONDS)

    def wait_for_the_other() -> threading.Thread:
        both.wait()
        return threading.current_thread()

    two = await asyncio.gather(threads.run(wait_for_the_other), threads.run(wait_for_the_other))
    used = await threads.run(threading.current_thread)
    [other] = [thread for thread in two if thread is not used]
    await asyncio.to_thread(other.join, PATIENCE_SECONDS)
    assert (other.is_alive(), used.is_alive()) == (False, True)


async def test_run_in_cancelled_scope_of_anyio_is_cancelled_again_only_once(monkeypatch: pytest.MonkeyPatch) -> None:
    threads, release, waits = OperationThreads(), threading.Event(), 0
    wait = asyncio.wait

    async def count_waits(futures: set[asyncio.Future[None]]) -> object:
        nonlocal waits
        waits += 1
        return await wait(futures)

    monkeypatch.setattr(asyncio, "wait", count_waits)
    with anyio.move_on_after(0) as scope:
        asyncio.get_running_loop().call_later(0.1, release.set)
        await threads.run(partial(release.wait, PATIENCE_SECONDS))
    assert scope.cancelled_caught
    assert waits <= 2


async def test_threads_end_with_their_owner() -> None:
    threads = OperationThreads()
    thread = await threads.run(threading.current_thread)
    del threads
    await asyncio.to_thread(thread.join, PATIENCE_SECONDS)
    assert not thread.is_alive()


# ``modelyard serve`` that prints its switch interval for each line of its input.
SERVER = """
import sys, threading
from modelyard.server.main import app

def answer():
    for _ in sys.stdin:
        print(sys.getswitchinterval(), flush=True)

threading.Thread(target=answer, daemon=True).start()
app(["serve", "--port", "0"], prog_name="modelyard")
"""


@pytest.mark.slow
def test_serve_sets_the_switch_interval(tmp_path: Path) -> None:
    command, environment = [sys.executable, "-c", SERVER], os.environ | {"MODELYARD_DATA_DIR": str(tmp_path / "data")}
    log = tmp_path / "stderr"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with (
        log.open("w") as stderr,
        subprocess.Popen(command, env=environment, text=True, bufsize=1, stderr=stderr, **pipes) as server,  # type: ignore[call-overload]  # the pipes
    ):
        too_late = threading.Timer(PATIENCE_SECONDS, server.kill)
        too_late.start()
        try:
            assert any("listens on" in line for line in server.stdout), log.read_text()
            server.stdin.write("\n")
            assert float(server.stdout.readline()) == pytest.approx(SWITCH_SECONDS)
        finally:
            too_late.cancel()
            server.kill()
