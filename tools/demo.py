"""``make demo``: the whole story on real bytes, and a registry that is left running."""

import atexit
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
from pathlib import Path

from tools.model_files import write_gguf, write_safetensors

HOME = Path(".demo").absolute()
MODELYARD = Path(sys.executable).with_name("modelyard")
EMAIL = "owner@studio.example"
MEBIBYTE = 1024 * 1024
START_SECONDS = 30
ARRIVAL_SECONDS = 120


def main() -> None:
    stop_the_last_one()
    shutil.rmtree(HOME, ignore_errors=True)
    HOME.mkdir()
    password = secrets.token_urlsafe(12)
    say("1. A registry: SQLite and a folder, nothing else.")
    port = a_free_port(8400)
    url = f"http://127.0.0.1:{port}"
    process = start(port, password)
    say(f"   It listens on {url}.")

    say("2. Model files of two real formats.")
    library = HOME / "ComfyUI" / "models"
    write_safetensors(library / "checkpoints" / "ink_base.safetensors", 192 * MEBIBYTE)
    write_safetensors(library / "loras" / "portraits" / "ink_lines.safetensors", 48 * MEBIBYTE)
    write_gguf(library / "unet" / "ink_q.gguf", 128 * MEBIBYTE)

    say("3. Sign in, push the folder, look.")
    modelyard("login", url, EMAIL, "--password-stdin", stdin=password)
    modelyard("push", str(library))
    modelyard("ls")

    say("4. Another machine pulls one of them.")
    modelyard("pull", "loras/portraits/ink_lines.safetensors", "-o", str(HOME / "other-machine"))
    compare(library / "loras" / "portraits" / "ink_lines.safetensors", HOME / "other-machine" / "ink_lines.safetensors")

    say("5. Two machines with an agent each: what the team has arrives on both.")
    machines = [start_agent(name, url) for name in ("render-01", "render-02")]
    both_have("loras/portraits/ink_lines.safetensors", "unet/ink_q.gguf")
    modelyard("agents", "list")

    say("6. A model is pushed, and arrives on both.")
    write_safetensors(library / "loras" / "ink_wash.safetensors", 24 * MEBIBYTE)
    modelyard("push", str(library / "loras" / "ink_wash.safetensors"))
    both_have("loras/ink_wash.safetensors")

    say("7. It is disabled, and leaves both; enabled again, it comes out of their trash without a download.")
    modelyard("disable", "ink_wash")
    both_have("loras/ink_wash.safetensors", is_there=False)
    modelyard("enable", "ink_wash")
    both_have("loras/ink_wash.safetensors")
    both_have_said_so("ink_wash")
    modelyard("show", "ink_wash")
    for machine in machines:
        machine.send_signal(signal.SIGTERM)
        machine.wait(START_SECONDS)

    say("The registry is left running; the two agents are stopped:")
    say(f"   the page   {url}\n   e-mail     {EMAIL}\n   password   {password}")
    say(f"   API        {url}/docs\n   its log    .demo/registry.log\n   stop it    kill {process.pid}")


def start_agent(name: str, url: str) -> subprocess.Popen[bytes]:
    """A machine of the name: a folder laid out like ComfyUI's, and an agent with a key of its own."""
    made: list[str | Path] = [MODELYARD, "keys", "create", name, "--kind", "agent", "--quiet"]
    key = subprocess.run(made, capture_output=True, text=True, check=True, env=of_the_owner()).stdout.strip()
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


def both_have(*paths: str, is_there: bool = True) -> None:
    """Wait until both machines have these files, or none of them."""
    files = [HOME / name / "ComfyUI" / "models" / path for name in ("render-01", "render-02") for path in paths]
    began = time.monotonic()
    while any(file.exists() != is_there for file in files):
        if time.monotonic() - began > ARRIVAL_SECONDS:
            sys.exit(f"This did not happen in time; the machines say why: {HOME}/render-0*.log")
        time.sleep(0.05)
    what = "On both machines" if is_there else "Gone from both machines"
    print(f"   {what} after {time.monotonic() - began:.1f} s: {', '.join(paths)}", flush=True)


def both_have_said_so(model: str) -> None:
    """Wait until the registry has heard of it: a machine that moves models says so every two seconds."""
    ask: list[str | Path] = [MODELYARD, "show", model, "--json"]
    deadline = time.monotonic() + ARRIVAL_SECONDS
    while time.monotonic() < deadline:
        said = subprocess.run(ask, capture_output=True, text=True, check=True, env=of_the_owner()).stdout
        if json.loads(said)["agents_ready"] == 2:
            return
        time.sleep(0.2)
    sys.exit("The machines did not say that they have it.")


def of_the_owner() -> dict[str, str]:
    return os.environ | {"MODELYARD_CONFIG": str(HOME / "profiles.toml")}


def say(text: str) -> None:
    print(f"\n{text}", flush=True)


def modelyard(*arguments: str, stdin: str = "") -> None:
    """One command of the CLI, shown as it would be typed."""
    shown = " ".join(arguments).replace(str(HOME), ".demo")
    print(f"\n$ modelyard {shown}", flush=True)
    subprocess.run([MODELYARD, *arguments], input=stdin or None, text=True, check=True, env=of_the_owner())


def start(port: int, password: str) -> subprocess.Popen[bytes]:
    """A registry that outlives this program."""
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
    wait_for(port, process)
    return process


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    sys.exit(f"The registry did not start:\n{(HOME / 'registry.log').read_text()}")


def a_free_port(wanted: int) -> int:
    """The wanted port, or the next one that nobody holds."""
    for port in range(wanted, wanted + 100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port
    sys.exit("No port is free.")


def stop_the_last_one() -> None:
    """End the registry of an earlier demo: the process of the noted id, if it is still that one."""
    try:
        pid = int((HOME / "registry.pid").read_text())
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (OSError, ValueError):
        return
    if str(HOME).encode() in command:
        os.kill(pid, signal.SIGTERM)
        while Path(f"/proc/{pid}").exists() and b"Z" not in Path(f"/proc/{pid}/stat").read_bytes().split()[2]:
            time.sleep(0.1)


def compare(one: Path, other: Path) -> None:
    if not filecmp.cmp(one, other, shallow=False):
        sys.exit("The bytes differ: this must never happen.")
    say("   The bytes are the same.")


if __name__ == "__main__":
    main()
