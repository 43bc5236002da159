"""``make demo``: start a registry, push and pull real files, run two agents, and leave the registry running."""

import atexit
import contextlib
import filecmp
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tools.model_files import write_gguf, write_safetensors

HOME = Path(".demo").absolute()
MODELYARD = Path(sys.executable).with_name("modelyard")
EMAIL = "owner@studio.example"
MEBIBYTE = 1024 * 1024
START_SECONDS = 30
ARRIVAL_SECONDS = 120
MACHINES = ("render-01", "render-02")


def main() -> None:
    """Run the demo step by step."""
    stop_earlier_demo()
    shutil.rmtree(HOME, ignore_errors=True)
    HOME.mkdir()
    password = secrets.token_urlsafe(12)
    print_step("1. A registry: SQLite and a folder, nothing else.")
    port = find_free_port(8400)
    url = f"http://127.0.0.1:{port}"
    process = start_registry(port, password)
    print_step(f"   It listens on {url}.")
    library = HOME / "ComfyUI" / "models"
    push_and_pull(library, url, password)
    run_machines(library, url)
    print_step("The registry is left running; the two agents are stopped:")
    print_step(f"   the page   {url}\n   e-mail     {EMAIL}\n   password   {password}")
    print_step(f"   API        {url}/docs\n   its log    .demo/registry.log\n   stop it    kill {process.pid}")


def push_and_pull(library: Path, url: str, password: str) -> None:
    """Show a folder of models pushed, listed, and one of them pulled."""
    print_step("2. Model files of two real formats.")
    write_safetensors(library / "checkpoints" / "ink_base.safetensors", 192 * MEBIBYTE)
    write_safetensors(library / "loras" / "portraits" / "ink_lines.safetensors", 48 * MEBIBYTE)
    write_gguf(library / "unet" / "ink_q.gguf", 128 * MEBIBYTE)

    print_step("3. Sign in, push the folder, list the models.")
    run_modelyard("login", url, EMAIL, "--password-stdin", stdin=password)
    run_modelyard("push", str(library))
    run_modelyard("ls")

    print_step("4. Another machine pulls one of them.")
    run_modelyard("pull", "loras/portraits/ink_lines.safetensors", "-o", str(HOME / "other-machine"))
    compare_files(
        library / "loras" / "portraits" / "ink_lines.safetensors", HOME / "other-machine" / "ink_lines.safetensors"
    )


def run_machines(library: Path, url: str) -> None:
    """Show two machines that get the team's models, a new one, and the effect of disabling it."""
    print_step("5. Two machines with an agent each: both download the team's models.")
    began = time.monotonic()
    machines = [start_agent(name, url) for name in MACHINES]
    wait_for_files(began, *(str(path.relative_to(library)) for path in library.rglob("*.*")))
    wait_until("machine", "ls", is_reached=are_up_to_date)
    run_modelyard("machine", "ls")

    print_step("6. A model is pushed, and both download it.")
    write_safetensors(library / "loras" / "ink_wash.safetensors", 24 * MEBIBYTE)
    began = run_modelyard("push", str(library / "loras" / "ink_wash.safetensors"))
    wait_for_files(began, "loras/ink_wash.safetensors")

    print_step("7. It is disabled and removed from both; enabled again, it is restored from their trash.")
    began = run_modelyard("disable", "ink_wash")
    wait_for_files(began, "loras/ink_wash.safetensors", is_there=False)
    began = run_modelyard("enable", "ink_wash")
    wait_for_files(began, "loras/ink_wash.safetensors")
    wait_until("show", "ink_wash", is_reached=lambda model: model["agents_ready"] == len(MACHINES))
    run_modelyard("show", "ink_wash")
    stop_agents(machines)


def stop_agents(machines: list[subprocess.Popen[bytes]]) -> None:
    """Send SIGTERM to each agent and wait until it exits."""
    for machine in machines:
        machine.send_signal(signal.SIGTERM)
        machine.wait(START_SECONDS)


def start_agent(name: str, url: str) -> subprocess.Popen[bytes]:
    """Start an agent with a key of its own and a folder laid out like ComfyUI's; it is killed with this program."""
    create_key: list[str | Path] = [MODELYARD, "key", "create", name, "--kind", "agent", "--quiet"]
    key = subprocess.run(
        create_key, capture_output=True, text=True, check=True, env=build_owner_environment()
    ).stdout.strip()
    models = HOME / name / "ComfyUI" / "models"
    models.mkdir(parents=True)
    command = ["agent", "run", "--comfyui", str(models.parent), "--agent-id", name]
    print(f"\n{name}$ modelyard {' '.join(command).replace(str(HOME), '.demo')}", flush=True)
    environment = os.environ | {
        "MODELYARD_AGENT_URL": url,
        "MODELYARD_AGENT_KEY": key,
        "MODELYARD_AGENT_CONFIG": str(HOME / name / "agent.toml"),
        "MODELYARD_AGENT_KEEP_FREE": "0",
        "XDG_STATE_HOME": str(HOME / name / "state"),
    }
    with (HOME / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            [MODELYARD, *command], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment
        )
    atexit.register(process.kill)
    return process


def wait_for_files(began: float, *paths: str, is_there: bool = True) -> None:
    """Wait until both machines have these files, or, with ``is_there=False``, until neither has any; print how long."""
    files = [HOME / name / "ComfyUI" / "models" / path for name in MACHINES for path in paths]
    deadline = time.monotonic() + ARRIVAL_SECONDS
    while any(file.exists() != is_there for file in files):
        if time.monotonic() > deadline:
            sys.exit(f"The files did not change in time; for the cause see {HOME}/render-0*.log")
        time.sleep(0.05)
    change = "On both machines" if is_there else "Gone from both machines"
    seconds = time.monotonic() - began
    print(f"   {change} {seconds:.1f} s after the command began: {', '.join(paths)}", flush=True)


def wait_until(*arguments: str, is_reached: Callable[[Any], bool]) -> None:
    """Wait until the JSON of a command shows what the machines report, which they do every two seconds."""
    command: list[str | Path] = [MODELYARD, *arguments, "--json"]
    deadline = time.monotonic() + ARRIVAL_SECONDS
    while time.monotonic() < deadline:
        ran = subprocess.run(command, capture_output=True, text=True, check=True, env=build_owner_environment())
        if is_reached(json.loads(ran.stdout)):
            return
        time.sleep(0.2)
    sys.exit(f"The machines did not report in time; for the cause see {HOME}/render-0*.log")


def are_up_to_date(listed: Any) -> bool:
    """Return whether both machines are listed and have their models."""
    states = {agent["agent_id"]: agent["machine_state"] for agent in listed["agent_list"]}
    return all(states.get(name) == "up_to_date" for name in MACHINES)


def build_owner_environment() -> dict[str, str]:
    """Return the environment in which commands use the owner's profile."""
    return os.environ | {"MODELYARD_CONFIG": str(HOME / "profiles.toml")}


def print_step(text: str) -> None:
    print(f"\n{text}", flush=True)


def run_modelyard(*arguments: str, stdin: str = "") -> float:
    """Print a command as it would be typed, and run it; return when it began."""
    shown = " ".join(arguments).replace(str(HOME), ".demo")
    print(f"\n$ modelyard {shown}", flush=True)
    began = time.monotonic()
    subprocess.run([MODELYARD, *arguments], input=stdin or None, text=True, check=True, env=build_owner_environment())
    return began


def start_registry(port: int, password: str) -> subprocess.Popen[bytes]:
    """Start a registry that keeps running after this program; its process id is written to a file."""
    log = (HOME / "registry.log").open("wb")
    environment = os.environ | {"MODELYARD_OWNER_EMAIL": EMAIL, "MODELYARD_OWNER_PASSWORD": password}
    process = subprocess.Popen(
        [MODELYARD, "serve", "--data-dir", str(HOME / "data"), "--port", str(port)],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        env=environment,
        start_new_session=True,
    )
    (HOME / "registry.pid").write_text(str(process.pid))
    wait_until_ready(port, process)
    return process


def wait_until_ready(port: int, process: subprocess.Popen[bytes]) -> None:
    """Wait until the registry answers; exit with its log if it does not in time."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5):
            return
        time.sleep(0.1)
    sys.exit(f"The registry did not start:\n{(HOME / 'registry.log').read_text()}")


def find_free_port(preferred: int) -> int:
    """Return the preferred port, or the next free one."""
    for port in range(preferred, preferred + 100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port
    sys.exit("No port is free.")


def stop_earlier_demo() -> None:
    """Stop the registry of an earlier demo, if the process with the recorded id is still that registry."""
    try:
        pid = int((HOME / "registry.pid").read_text())
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (OSError, ValueError):
        return
    if str(HOME).encode() in command:
        os.kill(pid, signal.SIGTERM)
        while Path(f"/proc/{pid}").exists() and b"Z" not in Path(f"/proc/{pid}/stat").read_bytes().split()[2]:
            time.sleep(0.1)


def compare_files(first: Path, second: Path) -> None:
    if not filecmp.cmp(first, second, shallow=False):
        sys.exit("The pulled file differs from the pushed one. This is a bug: please report it.")
    print_step("   The bytes are the same.")


if __name__ == "__main__":
    main()
