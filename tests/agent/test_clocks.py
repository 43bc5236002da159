"""A machine whose clock is a day off fetches, keeps and removes as any other."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.agent.box import Box
from tests.server.world import Someone, a_model_file

DAY = 24 * 60 * 60
OTHER_CLOCK = """
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
    struct timespec said;
    clock_gettime(CLOCK_REALTIME, &said);
    if (now) *now = said.tv_sec;
    return said.tv_sec;
}
int gettimeofday(struct timeval *now, void *zone) {
    struct timespec said;
    clock_gettime(CLOCK_REALTIME, &said);
    now->tv_sec = said.tv_sec;
    now->tv_usec = said.tv_nsec / 1000;
    return 0;
}
"""


@pytest.fixture(scope="session")
def other_clock(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library that shifts a program's clock by ``CLOCK_SHIFT`` seconds."""
    if (compiler := shutil.which("cc")) is None:
        pytest.fail("Missing: a C compiler, which makes the library that shifts the clock")
    folder = tmp_path_factory.mktemp("clock")
    source, library = folder / "clock.c", folder / "clock.so"
    source.write_text(OTHER_CLOCK)
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    return library


def run(box: Box, library: Path, shift: int, *command: str) -> "subprocess.CompletedProcess[str]":
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MODELYARD_")}
    environment |= {"MODELYARD_AGENT_URL": box.url, "MODELYARD_AGENT_KEY": box.key, "MODELYARD_AGENT_KEEP_FREE": "1"}
    environment |= {"MODELYARD_AGENT_CONFIG": str(box.folder / "agent.toml"), "XDG_STATE_HOME": str(box.folder / "s")}
    environment |= {"LD_PRELOAD": str(library), "CLOCK_SHIFT": str(shift)}
    words = [sys.executable, "-m", "modelyard", *command, "--models-dir", str(box.models)]
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False, env=environment)


@pytest.mark.parametrize("shift", [-DAY, DAY, -2 * 60 * 60])
def test_a_machine_with_another_clock_holds_what_it_should(
    team: Someone, box: Box, other_clock: Path, shift: int
) -> None:
    content = a_model_file("ink", 5000)
    model_id = team.register(content, "loras/ink.safetensors")
    agent = ("agent", "run", "--once", "--agent-id", box.agent_id)
    assert run(box, other_clock, shift, *agent).returncode == 0
    file = box.models / "loras/ink.safetensors"
    assert file.read_bytes() == content
    placed_at = file.stat().st_mtime_ns

    team.put(f"/models/{model_id}", model_status="disabled")
    assert run(box, other_clock, shift, *agent).returncode == 0
    assert not file.exists()
    assert len(list((box.models / ".modelyard" / "trash").iterdir())) == 1

    # Set right meanwhile: what was removed "tomorrow" still rests, and comes back as the same file.
    team.put(f"/models/{model_id}", model_status="active")
    assert run(box, other_clock, 0, *agent).returncode == 0
    assert (file.read_bytes(), file.stat().st_mtime_ns) == (content, placed_at)


def test_the_doctor_says_how_far_off_the_clock_is(team: Someone, box: Box, other_clock: Path) -> None:
    said = run(box, other_clock, -DAY, "doctor", "--agent-id", box.agent_id)
    assert said.returncode == 1
    assert "s behind the registry's" in said.stdout
    assert team.get("/agents").status_code == 200
