"""Agents on machines with a wrong clock."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.agent.agent_machine import AgentMachine
from tests.server.harness import ApiCaller, make_model_file
from tests.waiting import PATIENCE_SECONDS

pytestmark = pytest.mark.slow

DAY = 24 * 60 * 60
SHIFTED_CLOCK = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

static long shift(void) { return atol(getenv("CLOCK_SHIFT")); }

int clock_gettime(clockid_t clock, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int failed = real(clock, now);
    if (!failed && clock == CLOCK_REALTIME) now->tv_sec += shift();
    return failed;
}
time_t time(time_t *now) {
    struct timespec shifted;
    clock_gettime(CLOCK_REALTIME, &shifted);
    if (now) *now = shifted.tv_sec;
    return shifted.tv_sec;
}
int gettimeofday(struct timeval *now, void *zone) {
    struct timespec shifted;
    clock_gettime(CLOCK_REALTIME, &shifted);
    now->tv_sec = shifted.tv_sec;
    now->tv_usec = shifted.tv_nsec / 1000;
    return 0;
}
"""


@pytest.fixture(scope="session")
def clock_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library that shifts a program's clock by ``CLOCK_SHIFT`` seconds."""
    if (compiler := shutil.which("cc")) is None:
        pytest.fail("Missing: a C compiler, which makes the library that shifts the clock")
    folder = tmp_path_factory.mktemp("clock")
    source, library = folder / "clock.c", folder / "clock.so"
    source.write_text(SHIFTED_CLOCK)
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    return library


def run(machine: AgentMachine, library: Path, shift: int, *command: str) -> "subprocess.CompletedProcess[str]":
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MODELYARD_")}
    environment |= {
        "MODELYARD_AGENT_URL": machine.url,
        "MODELYARD_AGENT_KEY": machine.key,
        "MODELYARD_AGENT_KEEP_FREE": "1",
    }
    environment |= {
        "MODELYARD_AGENT_CONFIG": str(machine.folder / "agent.toml"),
        "XDG_STATE_HOME": str(machine.folder / "s"),
    }
    environment |= {"LD_PRELOAD": str(library), "CLOCK_SHIFT": str(shift)}
    words = [sys.executable, "-m", "modelyard", *command, "--models-dir", str(machine.models)]
    return subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False, env=environment)


@pytest.mark.parametrize(
    "shift",
    [
        -DAY,
        DAY,
        pytest.param(
            -2 * 60 * 60, marks=pytest.mark.extended(reason="a smaller error; the cases of a day have the rule")
        ),
    ],
)
def test_agent_wrong_clock_places_removes_and_restores_models(
    team: ApiCaller, machine: AgentMachine, clock_library: Path, shift: int
) -> None:
    content = make_model_file("ink", 5000)
    model_id = team.register(content, "loras/ink.safetensors")
    agent = ("agent", "run", "--once", "--agent-id", machine.agent_id)
    assert run(machine, clock_library, shift, *agent).returncode == 0
    file = machine.models / "loras/ink.safetensors"
    assert file.read_bytes() == content
    placed_at = file.stat().st_mtime_ns

    team.put(f"/models/{model_id}", model_status="disabled")
    assert run(machine, clock_library, shift, *agent).returncode == 0
    assert not file.exists()
    assert len(list((machine.models / ".modelyard" / "trash").iterdir())) == 1

    # With the clock corrected, the file in the trash has a future time and is still restored.
    team.put(f"/models/{model_id}", model_status="active")
    assert run(machine, clock_library, 0, *agent).returncode == 0
    assert (file.read_bytes(), file.stat().st_mtime_ns) == (content, placed_at)


def test_doctor_wrong_clock_reports_difference(team: ApiCaller, machine: AgentMachine, clock_library: Path) -> None:
    doctor = run(machine, clock_library, -DAY, "agent", "doctor", "--agent-id", machine.agent_id)
    assert doctor.returncode == 1
    assert "s behind the registry's" in doctor.stdout
    assert team.get("/agents").status_code == 200
