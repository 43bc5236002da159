"""Changes that arrive during a long download of a machine are applied without waiting for its end."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from modelyard.transfer.options import BandwidthLimit
from tests.journeys.agent_processes import Machine, create_machine
from tests.journeys.fault_proxy import FaultProxy
from tests.server.harness import ApiCaller, make_model_file
from tests.waiting import PATIENCE_SECONDS, wait_until

RATE = 1_000_000
# The large model takes 200 seconds at this rate, in place of the 11 hours of a model of 40 GB.
LARGE, SMALL, TINY = 200_000_000, 2_000_000, 20_000
REQUESTS = 4
# How many bytes of all files may pass at this rate until a change is applied: 15 seconds' worth, of which five are
# promised, beside what a model of SMALL bytes takes with one of four requests. A slow machine receives fewer.
MAX_BYTES, MAX_BYTES_WITH_SMALL = 15 * RATE, 15 * RATE + REQUESTS * SMALL
LARGE_PATH, GONE_PATH = "checkpoints/large.safetensors", "loras/gone.safetensors"


@pytest.fixture
def machine(tmp_path: Path, proxy: FaultProxy, team: ApiCaller) -> Iterator[Machine]:
    """Yield a machine that has a small model and is downloading a large one."""
    machine = create_machine(team, tmp_path / "render-01", proxy.url, PARALLEL=str(REQUESTS))
    team.register(make_model_file("gone", SMALL), GONE_PATH)
    agent = machine.start()
    wait_until((machine.models / GONE_PATH).is_file)
    proxy.bandwidth_limit = BandwidthLimit(RATE)
    team.register(make_model_file("large", LARGE), LARGE_PATH)
    proxy.reset_exchanges()
    proxy.wait_for_blob_bytes("GET", 2 * RATE)
    yield machine
    agent.send_signal(signal.SIGTERM)
    assert agent.wait(PATIENCE_SECONDS) == 0


def count_bytes_until(proxy: FaultProxy, condition: Callable[[], bool]) -> int:
    """Wait until a condition is true; return how many bytes of files have passed meanwhile."""
    before = proxy.count_blob_bytes("GET")
    wait_until(condition, LARGE / RATE)
    return proxy.count_blob_bytes("GET") - before


def count_bytes_until_arrival(proxy: FaultProxy, team: ApiCaller, machine: Machine, name: str, size: int) -> int:
    """Register a new model; return how many bytes of files have passed until the machine has it."""
    content = make_model_file(name, size)
    team.register(content, f"loras/{name}.safetensors")
    return count_bytes_until(proxy, lambda: machine.has_file(f"loras/{name}.safetensors", content))


def test_agent_applies_other_changes_during_a_long_download(
    machine: Machine, proxy: FaultProxy, team: ApiCaller
) -> None:
    models = {str(model["model_path"]): model["id"] for model in team.get("/models").json()["model_list"]}

    team.put(f"/models/{models[GONE_PATH]}", model_status="disabled")
    removal = count_bytes_until(proxy, lambda: not (machine.models / GONE_PATH).exists())
    models_and_sizes = (("a", SMALL), ("b", TINY), ("c", SMALL))
    arrivals = [count_bytes_until_arrival(proxy, team, machine, *each) for each in models_and_sizes]

    assert not (machine.models / LARGE_PATH).exists()
    assert removal < MAX_BYTES
    assert max(arrivals) < MAX_BYTES_WITH_SMALL
    assert arrivals[1] < MAX_BYTES

    proxy.bandwidth_limit = None
    wait_until((machine.models / LARGE_PATH).is_file)
    # The large download was never restarted: only ranges that were interrupted for a small one came twice.
    assert proxy.count_blob_bytes("GET") < 1.1 * (LARGE + 2 * SMALL)
