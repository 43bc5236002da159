"""Images and containers without a container engine: buildah without namespaces, and mounts of one process."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from tests.ports import free_port
from tests.running import RunningServer

# What the package installers of this machine are configured with; a build has the same.
_INSTALLER_FILES = ("/etc/pip.conf", "/etc/ssl/certs/ca-certificates.crt")
_DEBIAN_SOURCES = Path("/etc/apt/sources.list.d/debian.sources")
_BASE_PACKAGES = "python3,python3-venv,ca-certificates"
MAX_BUILD_SECONDS = 900
MAX_COMMAND_SECONDS = 60
# $ROOT_FOLDER: the image's files; $DATA: the volume; $IDS: user and group; the arguments: the command.
_RUN_SCRIPT = """
mount --bind "$ROOT_FOLDER" "$ROOT_FOLDER"
mount --bind "$DATA" "$ROOT_FOLDER/data"
mount -t tmpfs -o mode=1777 tmpfs "$ROOT_FOLDER/tmp"
mount --rbind /dev "$ROOT_FOLDER/dev"
mount -t proc proc "$ROOT_FOLDER/proc"
mount -o remount,bind,ro "$ROOT_FOLDER"
exec chroot --userspec="$IDS" "$ROOT_FOLDER" "$@"
"""


class Buildah:
    """Buildah with its images in a folder of their own, and without namespaces (``--isolation chroot``)."""

    def __init__(self, folder: Path) -> None:
        storage = ["--root", str(folder / "images"), "--runroot", str(folder / "run")]
        self._command = ["buildah", "--storage-driver", "vfs", *storage]

    def run(self, *arguments: str) -> str:
        """Run a command of buildah; return its output."""
        command = [*self._command, *arguments]
        output = subprocess.run(command, capture_output=True, text=True, timeout=MAX_BUILD_SECONDS, check=False)
        assert output.returncode == 0, output.stdout + output.stderr
        return output.stdout.strip()

    def build(self, tag: str, context: Path, *options: str) -> None:
        """Build an image from the Containerfile in the folder ``context``."""
        limits = ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=4096:4096")
        volumes = [f"--volume={path}:{path}:ro" for path in _INSTALLER_FILES if Path(path).exists()]
        format_options = ("--format", "docker", "--pull=never", "--isolation", "chroot")
        self.run("build", *format_options, *limits, *volumes, *options, "--tag", tag, str(context))

    def build_base(self, tag: str, folder: Path) -> None:
        """Make an image of a minimal Debian with Python, as the official images of Python have."""
        sources = [str(_DEBIAN_SOURCES)] if _DEBIAN_SOURCES.exists() else []
        command = ["mmdebstrap", "--variant=minbase", f"--include={_BASE_PACKAGES}", "trixie"]
        subprocess.run([*command, str(folder / "base.tar"), *sources], check=True, timeout=MAX_BUILD_SECONDS)
        (folder / "Containerfile").write_text("FROM scratch\nADD base.tar /\n")
        self.build(tag, folder)

    def mount(self, tag: str) -> tuple[Path, dict[str, Any]]:
        """Return the folder with an image's files, and its configuration as Docker names it."""
        container = self.run("from", "--pull=never", tag)
        configuration = json.loads(self.run("inspect", "--type", "image", tag))["Docker"]["config"]
        return Path(self.run("mount", container)), configuration


class RunningContainer(RunningServer):
    """The image's server on 127.0.0.1, with ``data_dir`` as its volume."""

    def __init__(self, data_dir: Path, root_folder: Path, configuration: dict[str, Any]) -> None:
        super().__init__(data_dir, port=free_port(), host="127.0.0.1")
        self.starts_as_users_do = True
        self._root_folder, self._configuration = root_folder, configuration
        uid, gid = map(int, configuration["User"].split(":"))
        data_dir.mkdir(mode=0o700, exist_ok=True)
        for path in (data_dir, *data_dir.rglob("*")):
            os.chown(path, uid, gid)

    def run(self, *command: str) -> "subprocess.CompletedProcess[str]":
        """Run another program in a container with the same volume."""
        wrapped = self._wrap([*command])
        return subprocess.run(
            wrapped,
            env=self._build_environment(),
            capture_output=True,
            text=True,
            timeout=MAX_COMMAND_SECONDS,
            check=False,
        )

    def _start_process(self, *_arguments: str) -> "subprocess.Popen[bytes]":
        """Run the image's own command: its arguments are part of what is tested."""
        command = self._wrap([*self._configuration["Entrypoint"], *self._configuration["Cmd"]])
        with self.log.open("ab") as log:
            return subprocess.Popen(command, stdout=log, stderr=log, env=self._build_environment())

    def _wrap(self, command: list[str]) -> list[str]:
        return ["unshare", "--mount", "--propagation", "private", "sh", "-e", "-c", _RUN_SCRIPT, "sh", *command]

    def _build_environment(self) -> dict[str, str]:
        of_image = dict(line.split("=", 1) for line in self._configuration["Env"])
        inherited = super()._build_environment().items()
        settings = {name: value for name, value in inherited if name.startswith("MODELYARD_")}
        ids = self._configuration["User"]
        for_script = {"ROOT_FOLDER": str(self._root_folder), "DATA": str(self.data_dir), "IDS": ids}
        return of_image | settings | for_script | {"MODELYARD_PORT": str(self._port)}
