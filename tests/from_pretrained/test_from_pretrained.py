"""Transformers and diffusers, unchanged, load a folder that was pushed as one model from the Hugging Face endpoint."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.running import RunningServer
from tools.repository import ROOT

ENVIRONMENT = ROOT / ".venv-pretrained"
PROGRAM = Path(__file__).with_name("use_pretrained.py")
TIMEOUT_SECONDS = 300


def run(*command: str, **variables: str) -> str:
    """Run a program with these variables of the environment, and return its output."""
    process = subprocess.run(
        command,
        env={"PATH": os.environ["PATH"], **variables},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    assert process.returncode == 0, process.stdout + process.stderr
    return process.stdout


def use_pretrained(home: Path, *arguments: str, **variables: str) -> dict[str, Any]:
    """Make or load a pipeline and a tokenizer; return what was loaded."""
    if not (ENVIRONMENT / ".ready").exists():
        pytest.fail("The libraries are not installed: run `make from-pretrained`, which installs them.")
    output = run(str(ENVIRONMENT / "bin" / "python"), str(PROGRAM), *arguments, HOME=str(home), **variables)
    loaded: dict[str, Any] = json.loads(output)
    return loaded


def test_from_pretrained_loads_a_pushed_folder_with_equal_tensors_and_tokens(tmp_path: Path) -> None:
    folder = tmp_path / "ddpm"
    made = use_pretrained(tmp_path, "make", str(folder), HF_HUB_OFFLINE="1")
    with RunningServer(tmp_path / "data") as server:
        owner = server.owner()
        key = str(owner.post("/credentials", kind="integration", display_name="notebook").json()["raw_key"])
        signed_in = {"MODELYARD_URL": server.url, "MODELYARD_TOKEN": key, "HOME": str(tmp_path)}
        run(sys.executable, "-m", "modelyard", "push", str(folder), "--as-folder", "--type", "diffusers", **signed_in)
        [model] = owner.get("/models").json()["model_list"]
        owner.wait_until_verified(model["id"])
        endpoint = {"HF_ENDPOINT": f"{server.url}/hf", "HF_TOKEN": key, "HF_HOME": str(tmp_path / "cache")}
        loaded = use_pretrained(tmp_path, "load", "team/diffusers__ddpm", **endpoint)
    assert loaded == made
    assert len(made["tensors"]) > 10
    assert made["ids"] == [3, 2, 1, 0, 3]
