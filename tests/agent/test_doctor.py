import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from modelyard.agent.doctor import Finding, Patient, examine
from modelyard.agent.keys import Identity
from modelyard.agent.settings import read_settings
from modelyard.agent.status import StateFolder
from modelyard.client.profile import NoKey
from tests.agent.comfyui_server import ComfyUIServer


class SkewedRegistry:
    """Answers every request with one status, and with a clock of its own."""

    def __init__(self, ahead: timedelta, status: int = 409) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response_only(status)
                self.send_header("Date", format_datetime(datetime.now(UTC) + ahead, usegmt=True))
                self.send_header("Content-Length", "0")
                self.end_headers()

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def base(tmp_path: Path) -> Path:
    base = tmp_path / "ComfyUI"
    (base / "models" / "loras").mkdir(parents=True)
    return base


def found(base: Path, url: str = "http://127.0.0.1:9", **settings: object) -> list[Finding]:
    state = StateFolder(base.parent / "state", "render-07")
    flags = {"comfyui": [base], "comfyui_url": ["http://127.0.0.1:9"], "keep_free": 1} | settings
    read = read_settings({"MODELYARD_AGENT_CONFIG": str(base / "agent.toml")}, **flags)
    return list(examine(Patient(read, lambda: Identity(url, "ak-x", "a test"), state, {})))


def about(findings: list[Finding], subject: str) -> list[tuple[str, str]]:
    return [(finding.level, finding.sentence) for finding in findings if finding.subject == subject]


@pytest.fixture(params=[(timedelta(0), "ok"), (timedelta(minutes=3), "warning"), (timedelta(days=-1), "problem")])
def skewed(request: pytest.FixtureRequest) -> Iterator[tuple[SkewedRegistry, str]]:
    ahead, level = request.param
    registry = SkewedRegistry(ahead)
    yield registry, level
    registry.close()


def test_a_clock_that_is_off_is_said(base: Path, skewed: tuple[SkewedRegistry, str]) -> None:
    registry, expected = skewed
    ((level, sentence),) = about(found(base, registry.url), "clock")
    assert level == expected
    assert "This machine's clock is" in sentence


@pytest.mark.parametrize(("status", "level"), [(200, "ok"), (409, "ok"), (401, "problem"), (403, "problem")])
def test_what_the_registry_thinks_of_the_key_is_said(base: Path, status: int, level: str) -> None:
    registry = SkewedRegistry(timedelta(0), status)
    try:
        assert [found_level for found_level, _ in about(found(base, registry.url), "key")] == [level]
    finally:
        registry.close()


def test_a_registry_that_does_not_answer_is_a_problem(base: Path) -> None:
    assert [level for level, _ in about(found(base), "registry")] == ["problem"]


def test_a_machine_without_a_key_is_told_so(base: Path) -> None:
    def nowhere() -> Identity:
        raise NoKey("This machine has no key.")

    settings = read_settings({"MODELYARD_AGENT_CONFIG": "nowhere"}, comfyui=[base])
    findings = list(examine(Patient(settings, nowhere, StateFolder(base, "x"), {})))
    assert about(findings, "key") == [("problem", "This machine has no key.")]


def test_folders_that_are_not_there_are_a_problem(base: Path) -> None:
    findings = found(base, comfyui=[base.parent / "nowhere"])
    assert [level for level, _ in about(findings, "folders")] == ["problem"]


def test_a_full_disk_is_a_problem(base: Path) -> None:
    ((level, sentence),) = about(found(base, keep_free="500PB"), "space")
    assert level == "problem"
    assert "less than the" in sentence


def test_a_link_that_leads_nowhere_is_said(base: Path) -> None:
    (base / "models/loras/ink.safetensors").symlink_to(base / "gone")
    ((level, sentence),) = about(found(base), "links")
    assert level == "warning"
    assert "leads nowhere" in sentence


def test_a_root_that_is_a_link_is_told_and_is_no_problem(base: Path, tmp_path: Path) -> None:
    (tmp_path / "big").mkdir()
    (base / "models/checkpoints").symlink_to(tmp_path / "big")
    assert [level for level, _ in about(found(base), "links")] == ["ok"]


def test_a_name_that_an_earlier_folder_hides_is_said(base: Path) -> None:
    for folder in ("unet", "diffusion_models"):
        (base / "models" / folder).mkdir()
        (base / "models" / folder / "ink.safetensors").write_bytes(folder.encode())
    ((level, sentence),) = about(found(base), "names")
    assert level == "warning"
    assert "diffusion_models/ink.safetensors" in sentence.partition(":")[0]


def test_one_file_under_two_roots_hides_nothing(base: Path) -> None:
    for folder in ("unet", "diffusion_models"):
        (base / "models" / folder).mkdir()
    (base / "models/unet/ink.safetensors").write_bytes(b"ink")
    (base / "models/diffusion_models/ink.safetensors").hardlink_to(base / "models/unet/ink.safetensors")
    assert about(found(base), "names") == []


def test_a_comfyui_that_runs_is_named(base: Path) -> None:
    with ComfyUIServer(base) as server:
        said = about(found(base, comfyui_url=[server.url]), "comfyui")
    assert said == [("ok", f"ComfyUI 0.3.64 runs at {server.url}.")]


def test_a_comfyui_that_is_off_is_no_problem(base: Path) -> None:
    assert [level for level, _ in about(found(base), "comfyui")] == ["ok"]


def test_a_new_comfyui_has_nothing_wrong_with_its_folders(base: Path) -> None:
    assert about(found(base), "folders") == [("ok", f'Models go to "{base}/models".')]


def test_a_configured_folder_that_is_not_there_is_a_warning(base: Path) -> None:
    (base / "extra_model_paths.yaml").write_text("disk:\n  base_path: gone\n  loras: loras\n")
    assert [level for level, _ in about(found(base), "folders")] == ["ok", "warning"]
