"""What the program does only while it starts."""

import os
import subprocess
import sys
from pathlib import Path


def test_command_does_its_work_with_garbage_collector_that_the_start_disabled() -> None:
    code = (
        "import gc, sys; sys.argv = ['modelyard', 'help']\n"
        "from modelyard.__main__ import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "from modelyard.cli.terminal.terminal import Terminal\n"
        "async def work(): return gc.isenabled()\n"
        "print(gc.isenabled(), Terminal(None, None).run(work()))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[-1] == "False True"


def test_command_loads_no_plugins_of_pydantic(tmp_path: Path, home: Path) -> None:
    metadata = tmp_path / "spy-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: spy\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text("[pydantic]\nspy = spy:plugin\n")
    (tmp_path / "spy.py").write_text("print('loaded')\nplugin = None\n")
    command = [sys.executable, "-m", "modelyard", "whoami"]
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    ran = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert (ran.returncode, ran.stdout) == (3, "")
