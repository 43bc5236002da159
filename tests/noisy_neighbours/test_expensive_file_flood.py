"""Many small files that are expensive to inspect, registered at once by one team: other teams stay fast."""

import itertools
import json
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from modelyard.wire.uploads import UploadRequest
from tests.noisy_neighbours.latency import Comparison, Latencies, LatencyProbe, assert_stays_fast, for_seconds
from tests.running import RunningServer
from tests.server.environments import Environments
from tests.server.harness import PASSWORD, ApiCaller, make_model_file
from tests.server.inspection import builders

PICKLES, HEADERS = 180, 20
WARM_UP_SECONDS, QUIET_SECONDS, LOADED_SECONDS, PRESIGN_SECONDS = 2.0, 4.0, 15.0, 3.0
NOISE_SECONDS = 0.01
MAX_TIMES_SLOWER = 3.0


@contextmanager
def running(environments: Environments, folder: Path) -> Iterator[RunningServer]:
    folder.mkdir()
    with (
        environments.create_settings(folder) as settings,
        RunningServer(settings.data_dir, port=0, **environments.get_program_settings(settings)) as server,
    ):
        yield server


def expensive_pickle(number: int) -> bytes:
    """Build a file of 120 KB whose pickle has nearly the maximum number of opcodes: a list of strings and numbers."""
    noise = random.Random(number).randbytes(100_000).hex()
    texts = b"".join(builders.text(noise[start : start + 400]) for start in range(0, len(noise), 400))
    value = b"](" + texts + b"K\x01" * 1_900_000 + b"e"
    return builders.build_zip(
        builders.ZipEntry("a/data.pkl", builders.build_pickle(value), method=8), builders.ZipEntry("a/version", b"3\n")
    )


def large_header(number: int) -> bytes:
    """Build a safetensors file of 14 MB that is nearly all header, with the maximum number of entries."""
    entry = {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]}
    return builders.safetensors({f"{number:04}.{name:0180}": entry for name in range(58_000)})


def create_sender(server: RunningServer, owner: ApiCaller) -> ApiCaller:
    """Create a viewer of the owner's team with a team of their own that accepts pickles after a scan."""
    invited = owner.post("/invitations", email_address="viewer@studio.test", invitation_role="viewer").json()
    viewer = server.anonymous()
    viewer.post(
        "/invitations/accept",
        invitation_token=invited["invitation_token"],
        first_name="A",
        last_name="Viewer",
        user_password=PASSWORD,
    )
    login = viewer.post("/auth/login", email_address="viewer@studio.test", user_password=PASSWORD)
    viewer.token = login.json()["access_token"]
    viewer.team_id = viewer.post("/teams", display_name="Own").json()["id"]
    assert viewer.put("/teams/current", pickle_policy="scan").status_code == 200
    return viewer


def upload_all(sender: ApiCaller) -> list[str]:
    """Upload the files, and return the JSON bodies that register them."""
    pickles = [sender.new_model(expensive_pickle(number), f"checkpoints/{number}.pt") for number in range(PICKLES)]
    headers = [sender.new_model(large_header(number), f"loras/{number}.safetensors") for number in range(HEADERS)]
    return [json.dumps(body) for body in pickles + headers]


def start_registering(server: RunningServer, sender: ApiCaller, bodies: list[str]) -> subprocess.Popen[str]:
    """Start a program that registers all uploads at once and prints how many responses had each status."""
    command = [sys.executable, "-m", "tests.noisy_neighbours.send_requests", f"{server.url}/api/v1/models"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    headers = sender.headers | {"Content-Type": "application/json"}
    process.stdin.write("\n".join([json.dumps(headers), *bodies]))
    process.stdin.close()
    return process


def measure_fresh_server(environments: Environments, folder: Path) -> list[Comparison]:
    """Measure the owner's requests on a new server, before and while a member registers expensive files elsewhere."""
    with running(environments, folder) as server:
        owner = server.owner()
        for number in range(20):
            owner.register(make_model_file(f"{number}"), f"loras/{number}.safetensors")
        sender = create_sender(server, owner)
        comparisons = measure(server, sender, upload_all(sender))
        assert count_pending(sender) > PICKLES / 2, "The flood was over before it was measured."
        content = builders.safetensors({"__metadata__": {"notes": "x" * 2**21}})
        model_id = owner.register(content, "loras/large.safetensors")
        assert owner.get(f"/models/{model_id}").json()["verification"] == "verified"
        assert count_pending(sender) > PICKLES / 2, "Another team's file was verified only after the flood."
        return comparisons


def measure(server: RunningServer, sender: ApiCaller, bodies: list[str]) -> list[Comparison]:
    probe = LatencyProbe(server.url, server.owner())
    request = UploadRequest(file_name="a.gguf", file_size=1, model_type="loras", model_path="loras/a.gguf").model_dump()

    def list_models(goes_on: Callable[[], bool]) -> Latencies:
        return probe.measure("GET", "/api/v1/models", goes_on)

    def presign() -> Latencies:
        return probe.measure("POST", "/api/v1/models/presign", for_seconds(PRESIGN_SECONDS), request)

    list_models(for_seconds(WARM_UP_SECONDS))
    quiet, quiet_presign = [list_models(for_seconds(QUIET_SECONDS)) for _ in range(3)], presign()
    process = start_registering(server, sender, bodies)
    loaded = list_models(lambda: process.poll() is None) + list_models(for_seconds(LOADED_SECONDS))
    loaded_presign = presign()
    assert process.stdout is not None
    assert json.loads(process.stdout.read()) == {"201": PICKLES + HEADERS}
    return [
        Comparison("GET /models", quiet, loaded, {0.99: MAX_TIMES_SLOWER}, NOISE_SECONDS),
        # There are too few presigns to compare their p99.
        Comparison("POST /models/presign", [quiet_presign], loaded_presign, {0.9: MAX_TIMES_SLOWER}, NOISE_SECONDS),
    ]


def count_pending(sender: ApiCaller) -> int:
    """Return how many of the sender's models wait for verification."""
    return int(sender.get("/models", verification="pending").json()["page_meta"]["total_count"])


@pytest.mark.timeout(900)  # up to four servers, each with 200 uploads
def test_registering_expensive_files_leaves_other_teams_fast(environments: Environments, tmp_path: Path) -> None:
    numbers = itertools.count()
    assert_stays_fast(lambda: measure_fresh_server(environments, tmp_path / f"{next(numbers)}"))
