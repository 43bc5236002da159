import asyncio
import shutil
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from modelyard.agent.doctor.checks import DoctorContext, check_machine
from modelyard.agent.doctor.findings import Finding
from modelyard.agent.registry.keys import AgentCredentials
from modelyard.agent.roots import ROOT_CACHE, RootCache
from modelyard.agent.settings import read_settings
from modelyard.agent.state_folder import ReasonStatus, StateFolder, StatusSnapshot
from modelyard.client.atomic_file import locked
from modelyard.client.profile import NoKey
from modelyard.comfyui.layout import build_plain_install
from tests.comfyui.comfyui_server import ComfyUIServer


class SkewedRegistry:
    """A registry that answers every request with one status, and whose clock is ``ahead`` of this machine's."""

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


def run_doctor(
    base: Path, url: str = "http://127.0.0.1:9", environment: dict[str, str] | None = None, **settings: object
) -> list[Finding]:
    state = StateFolder(base.parent / "state", "render-07")
    flags = {"comfyui": [base], "comfyui_url": ["http://127.0.0.1:9"], "keep_free": 1} | settings
    read = read_settings({"MODELYARD_AGENT_CONFIG": str(base / "agent.toml")}, **flags)
    return list(
        check_machine(DoctorContext(read, lambda: AgentCredentials(url, "ak-x", "a test"), state, environment or {}))
    )


def write_status(base: Path, **facts: object) -> StateFolder:
    """Write the status of an agent of this machine, and return its folder.

    Without ``reasons``, that of a model in ``models`` is the reason of all that ``counts`` has in its state.
    """
    folder = StateFolder(base.parent / "state", "render-07")
    now = datetime.now(UTC)
    fields = {"agent_id": "render-07", "version": "1", "pid": 1, "started_at": now, "written_at": now}
    fields |= {"url": "http://127.0.0.1:9", "link": "connected", "phase": "waiting"}
    status = StatusSnapshot.model_validate(fields | facts)
    reasons = [
        ReasonStatus(state=each.state, count=status.counts[each.state], reason=each.reason, model_paths=[])
        for each in status.models
        if each.reason and not status.reasons
    ]
    folder.write_status(status.model_copy(update={"reasons": status.reasons or reasons}))
    return folder


def select_findings(findings: list[Finding], subject: str) -> list[tuple[str, str]]:
    return [(finding.level, finding.sentence) for finding in findings if finding.subject == subject]


@pytest.fixture(params=[(timedelta(0), "ok"), (timedelta(minutes=3), "warning"), (timedelta(days=-1), "problem")])
def skewed(request: pytest.FixtureRequest) -> Iterator[tuple[SkewedRegistry, str]]:
    ahead, level = request.param
    registry = SkewedRegistry(ahead)
    yield registry, level
    registry.close()


def test_doctor_clock_difference_sets_level(base: Path, skewed: tuple[SkewedRegistry, str]) -> None:
    registry, expected = skewed
    ((level, sentence),) = select_findings(run_doctor(base, registry.url), "clock")
    assert level == expected
    assert "This machine's clock is" in sentence


@pytest.mark.parametrize(("status", "level"), [(200, "ok"), (409, "ok"), (401, "problem"), (403, "problem")])
def test_doctor_key_response_status_sets_level(base: Path, status: int, level: str) -> None:
    registry = SkewedRegistry(timedelta(0), status)
    try:
        assert [found_level for found_level, _ in select_findings(run_doctor(base, registry.url), "key")] == [level]
    finally:
        registry.close()


def test_doctor_unreachable_registry_is_a_problem(base: Path) -> None:
    assert [level for level, _ in select_findings(run_doctor(base), "registry")] == ["problem"]


def test_doctor_missing_key_is_a_problem(base: Path) -> None:
    def raise_no_key() -> AgentCredentials:
        raise NoKey("This machine has no key.")

    settings = read_settings({"MODELYARD_AGENT_CONFIG": "nowhere"}, comfyui=[base])
    findings = list(check_machine(DoctorContext(settings, raise_no_key, StateFolder(base, "x"), {})))
    assert select_findings(findings, "key") == [("problem", "This machine has no key.")]


@pytest.mark.parametrize("option", ["--comfyui", "--models-dir"])
def test_doctor_missing_folder_is_a_problem_with_the_remedy(base: Path, option: str) -> None:
    missing = [base.parent / "nowhere"]
    comfyui, models_dir = (missing, []) if option == "--comfyui" else ([], missing)
    findings = run_doctor(base, comfyui=comfyui, comfyui_url=[], models_dir=models_dir)
    [finding] = [finding for finding in findings if finding.subject == "folders"]
    remedy = f"Create the folder, or mount its disk, or name another: {option} DIR"
    assert (finding.level, finding.fix) == ("problem", remedy)


def test_doctor_less_free_space_than_keep_free_is_a_problem(base: Path) -> None:
    ((level, sentence),) = select_findings(run_doctor(base, keep_free=shutil.disk_usage(base).total - 1), "space")
    assert level == "problem"
    assert "less than the" in sentence


def test_doctor_dangling_link_is_a_warning(base: Path) -> None:
    (base / "models/loras/ink.safetensors").symlink_to(base / "gone")
    ((level, sentence),) = select_findings(run_doctor(base), "links")
    assert level == "warning"
    assert "does not exist" in sentence


def test_doctor_root_that_is_a_link_to_a_folder_is_ok(base: Path, tmp_path: Path) -> None:
    (tmp_path / "big").mkdir()
    (base / "models/checkpoints").symlink_to(tmp_path / "big")
    assert [level for level, _ in select_findings(run_doctor(base), "links")] == ["ok"]


def test_doctor_file_hidden_by_same_name_in_earlier_root_is_a_warning(base: Path) -> None:
    for folder in ("unet", "diffusion_models"):
        (base / "models" / folder).mkdir()
        (base / "models" / folder / "ink.safetensors").write_bytes(folder.encode())
    ((level, sentence),) = select_findings(run_doctor(base), "names")
    assert level == "warning"
    assert "diffusion_models/ink.safetensors" in sentence.partition(":")[0]


def test_doctor_hard_links_of_one_file_in_two_roots_are_not_reported(base: Path) -> None:
    for folder in ("unet", "diffusion_models"):
        (base / "models" / folder).mkdir()
    (base / "models/unet/ink.safetensors").write_bytes(b"ink")
    (base / "models/diffusion_models/ink.safetensors").hardlink_to(base / "models/unet/ink.safetensors")
    assert select_findings(run_doctor(base), "names") == []


def test_doctor_running_comfyui_reports_version_and_url(base: Path) -> None:
    with ComfyUIServer(base) as server:
        findings = select_findings(run_doctor(base, comfyui_url=[server.url]), "comfyui")
    assert findings == [("ok", f"ComfyUI 0.3.64 runs at {server.url}.")]


def test_doctor_comfyui_urls_in_wrong_order_are_a_problem(base: Path, tmp_path: Path) -> None:
    other = tmp_path / "Other"
    (other / "models" / "loras").mkdir(parents=True)
    with ComfyUIServer(base) as first, ComfyUIServer(other) as second:
        folders = [base, other]
        swapped = run_doctor(base, comfyui=folders, comfyui_url=[second.url, first.url])
        right = run_doctor(base, comfyui=folders, comfyui_url=[first.url, second.url])

    findings = [sentence for level, sentence in select_findings(swapped, "folders") if level == "problem"]
    assert len(findings) == 2
    assert all("order of the folders" in sentence for sentence in findings)
    assert [level for level, _ in select_findings(right, "comfyui")] == ["ok", "ok"]


def test_doctor_comfyui_with_models_in_other_folders_is_a_warning(base: Path, tmp_path: Path) -> None:
    with ComfyUIServer(tmp_path / "Elsewhere") as server:
        findings = select_findings(run_doctor(base, comfyui_url=[server.url]), "comfyui")
    assert "warning" in [level for level, _ in findings]


def test_doctor_comfyui_not_running_is_ok_and_names_the_address(base: Path) -> None:
    [(level, sentence)] = select_findings(run_doctor(base), "comfyui")
    assert level == "ok"
    assert f'No ComfyUI of "{base}" answers at http://127.0.0.1:9.' in sentence


def test_doctor_of_two_comfyuis_names_the_one_that_does_not_run(base: Path, tmp_path: Path) -> None:
    other = tmp_path / "Other"
    (other / "models" / "loras").mkdir(parents=True)
    with ComfyUIServer(base) as server:
        report = run_doctor(base, comfyui=[base, other], comfyui_url=[server.url, "http://127.0.0.1:9"])
    [sentence] = [sentence for _, sentence in select_findings(report, "comfyui") if "No ComfyUI" in sentence]
    assert f'No ComfyUI of "{other}" answers' in sentence


def test_doctor_comfyui_with_another_base_directory_reports_where_models_go(base: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "data"
    (elsewhere / "models").mkdir(parents=True)
    with ComfyUIServer(elsewhere) as server:
        findings = select_findings(run_doctor(base, comfyui_url=[server.url]), "folders")
    assert ("ok", f'Models go to "{elsewhere}/models".') in findings


def test_doctor_uses_the_folders_that_comfyui_reported_to_the_agent_when_it_ran_last(
    base: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "data"
    (elsewhere / "models").mkdir(parents=True)
    file = base.parent / "state/agents/render-07" / ROOT_CACHE
    RootCache(file).save(base, build_plain_install(elsewhere / "models"))
    before = file.read_bytes()
    assert ("ok", f'Models go to "{elsewhere}/models".') in select_findings(run_doctor(base), "folders")
    with ComfyUIServer(base) as server:
        run_doctor(base, comfyui_url=[server.url])
    assert file.read_bytes() == before


async def test_doctor_models_that_the_agent_cannot_place_are_a_problem(base: Path) -> None:
    reason = "The disk is full. Free some space."
    model = {"model_path": "loras/ink.sft", "state": "blocked", "reason": reason}
    counts = {"ready": 3, "blocked": 2}
    waiting = f"2 of 5 models wait: {reason}"
    folder = await asyncio.to_thread(lambda: write_status(base, counts=counts, models=[model], waiting_for=waiting))
    async with locked(folder.lock, wait_seconds=0) as is_held:
        assert is_held
        findings = await asyncio.to_thread(run_doctor, base)
    assert select_findings(findings, "models") == [("problem", f"The agent cannot place 2 models. {reason}")]
    assert [finding for finding in findings if "waiting" in finding.sentence] == []


def test_doctor_models_of_one_reason_have_an_example_and_those_of_no_shown_reason_are_counted(base: Path) -> None:
    reason = '"/models/loras/a.sft" is another file. Move it away or rename it.'
    shared = ReasonStatus(state="conflict", count=2, reason=reason, model_paths=["loras/a.sft", "loras/b.sft"])
    write_status(base, counts={"conflict": 9}, reasons=[shared])
    assert [sentence for _, sentence in select_findings(run_doctor(base), "models")] == [
        f"At its last run, the agent could not place 2 models because of a conflict. For example: {reason}",
        "At its last run, the agent could not place 7 other models because of a conflict.",
    ]


def test_doctor_existing_comfyui_folder_reports_where_models_go(base: Path) -> None:
    assert select_findings(run_doctor(base), "folders") == [("ok", f'Models go to "{base}/models".')]


def test_doctor_missing_folder_of_extra_model_paths_is_a_warning(base: Path) -> None:
    (base / "extra_model_paths.yaml").write_text("disk:\n  base_path: gone\n  loras: loras\n")
    assert [level for level, _ in select_findings(run_doctor(base), "folders")] == ["ok", "warning"]


@pytest.mark.parametrize(("mode", "level"), [(0o700, "ok"), (0o750, "problem"), (0o755, "problem")])
def test_doctor_mode_of_registry_data_folder_sets_level(base: Path, mode: int, level: str) -> None:
    data = base.parent / "registry"
    data.mkdir()
    data.chmod(mode)
    ((found_level, sentence),) = select_findings(
        run_doctor(base, environment={"MODELYARD_DATA_DIR": str(data)}), "privacy"
    )
    assert found_level == level
    assert str(data) in sentence


def test_write_status_removes_access_of_other_users_to_folder(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path / "state", "render-07")
    folder.path.mkdir(parents=True)
    folder.path.chmod(0o777)
    write_status(tmp_path / "ComfyUI")
    assert folder.path.stat().st_mode & 0o077 == 0
