"""``make demo``: the whole story on real bytes, and a registry that is left running."""

import filecmp
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

    say("The registry is left running:")
    say(f"   address    {url}\n   e-mail     {EMAIL}\n   password   {password}")
    say(f"   API        {url}/docs\n   its log    .demo/registry.log\n   stop it    kill {process.pid}")


def say(text: str) -> None:
    print(f"\n{text}", flush=True)


def modelyard(*arguments: str, stdin: str = "") -> None:
    """One command of the CLI, shown as it would be typed."""
    shown = " ".join(arguments).replace(str(HOME), ".demo")
    print(f"\n$ modelyard {shown}", flush=True)
    environment = os.environ | {"MODELYARD_CONFIG": str(HOME / "profiles.toml")}
    subprocess.run([MODELYARD, *arguments], input=stdin or None, text=True, check=True, env=environment)


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
