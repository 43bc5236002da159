"""One finding for one cause: what follows from another finding is folded into it."""

import asyncio
import shutil
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import pytest

from modelyard.agent.doctor.findings import Finding, fold_findings
from modelyard.client.atomic_file import locked
from tests.agent.test_doctor import SkewedRegistry, base, run_doctor, select_findings, write_status
from tests.mounts import mounted_read_only
from tests.sync.factories import SimulatedDisk, build_entry

__all__ = ["base"]  # a fixture

CAUSE = frozenset({"key"})


def test_fold_findings_adds_the_consequence_to_the_cause() -> None:
    cause = Finding("problem", "key", "The key is refused.", "Pair.", CAUSE)
    first = Finding("warning", "agent", "The agent waits for a key.", follows="key")
    second = Finding("problem", "models", "2 models: no key.", follows="key", consequence="2 models wait.")
    [folded] = fold_findings([cause, first, second])
    assert (folded.sentence, folded.fix) == ("The key is refused. 2 models wait.", "Pair.")


@pytest.mark.parametrize(
    "cause",
    [Finding("ok", "key", "The key is accepted.", "", CAUSE), Finding("problem", "space", "The disk is full.")],
    ids=["cause is ok", "another cause"],
)
def test_fold_findings_keeps_a_finding_that_no_problem_explains(cause: Finding) -> None:
    follower = Finding("warning", "agent", "The agent waits for a key.", follows="key")
    independent = Finding("warning", "agent", "No agent runs here.")
    assert fold_findings([cause, follower, independent]) == [cause, follower, independent]


async def list_wrong(
    base: Path, status: Mapping[str, object], answer: int | None = 200, keep_free: object = 1
) -> list[Finding]:
    """Return what the doctor finds wrong while an agent with this status runs, and the registry answers that status."""
    folder = await asyncio.to_thread(lambda: write_status(base, **status))
    registry = None if answer is None else SkewedRegistry(timedelta(0), answer)
    url = "http://127.0.0.1:9" if registry is None else registry.url
    try:
        async with locked(folder.lock, wait_seconds=0) as is_held:
            assert is_held
            findings = await asyncio.to_thread(lambda: run_doctor(base, url, keep_free=keep_free))
    finally:
        if registry is not None:
            registry.close()
    return [finding for finding in findings if finding.level != "ok"]


async def test_doctor_refused_key_is_one_finding(base: Path) -> None:
    reason = "The registry refuses this machine: its key was revoked."
    status = {"link": "refused", "link_reason": reason, "waiting_for": reason}
    wrong = await list_wrong(base, status, 401)
    assert [finding.subject for finding in wrong] == ["key"]


async def test_doctor_accepted_key_while_the_agent_is_refused_is_the_finding_of_the_agent(base: Path) -> None:
    status = {"link": "refused", "link_reason": "The registry refuses this machine.", "waiting_for": None}
    wrong = await list_wrong(base, status)
    assert [(finding.subject, "refuses this machine" in finding.sentence) for finding in wrong] == [("agent", True)]


async def test_doctor_unreachable_registry_is_one_finding(base: Path) -> None:
    status = {"link": "lost", "link_reason": "http://127.0.0.1:9 cannot be reached: the connection was refused."}
    [finding] = await list_wrong(base, status, None)
    assert finding.subject == "registry"
    assert "Errno" not in finding.sentence


async def test_doctor_redirected_registry_is_one_finding_that_says_so(base: Path) -> None:
    [finding] = await list_wrong(base, {"link": "lost", "link_reason": "It redirects."}, 302)
    assert finding.subject == "registry"
    assert "redirects to" in finding.sentence


async def test_doctor_full_disk_is_one_finding_that_counts_the_models(base: Path) -> None:
    reason = "'ink.sft' needs 5 GB, and the disk of \"/models\" has 1 GB left. Free some space."
    model = {"model_path": "loras/ink.sft", "state": "blocked", "reason": reason}
    status = {"counts": {"blocked": 2}, "models": [model], "waiting_for": f"2 of 5 models wait: {reason}"}
    [finding] = await list_wrong(base, status, keep_free=shutil.disk_usage(base).total - 1)
    assert finding.subject == "space"
    assert finding.sentence.endswith("kept free. The agent cannot place 2 models.")


async def test_doctor_keep_free_above_the_whole_disk_is_one_finding_with_the_setting_to_lower(base: Path) -> None:
    plan = SimulatedDisk().plan(build_entry("loras/ink.pt", file_size=9), keep_free_bytes=500_000 * 10**12)
    reason = plan.blocked[0].reason
    model = {"model_path": "loras/ink.pt", "state": "blocked", "reason": reason}
    status = {"counts": {"blocked": 1}, "models": [model], "waiting_for": reason}
    [finding] = await list_wrong(base, status, keep_free="500PB")
    assert finding.fix == "Lower keep_free in agent.toml, or MODELYARD_AGENT_KEEP_FREE."
    assert finding.sentence.endswith("in all, not more than the 500000.0 TB kept free. The agent cannot place 1 model.")


async def test_doctor_missing_disk_is_one_finding_that_names_its_folders_and_counts_the_models(base: Path) -> None:
    (base / "extra_model_paths.yaml").write_text("disk:\n  base_path: gone\n  loras: loras\n  vae: nested/vae\n")
    folder = base / "gone" / "loras"
    reason = f'The folder "{folder}" does not exist. Create it, or mount its disk.'
    model = {"model_path": "loras/ink.sft", "state": "blocked", "reason": reason}
    status = {"counts": {"blocked": 1}, "models": [model], "waiting_for": reason}
    [finding] = await list_wrong(base, status)
    assert finding.sentence == (
        f'loras, vae: The folder "{base / "gone"}" does not exist. Create it, or mount its disk.'
        " The agent cannot place 1 model."
    )


async def test_doctor_read_only_models_folder_is_one_finding_with_the_remedy(base: Path) -> None:
    (base / "models/vae").mkdir()
    folder = base / "models"
    reason = f'The file system of "{folder / "loras"}" is mounted read-only. Mount it for writing.'
    model = {"model_path": "loras/ink.sft", "state": "blocked", "reason": reason}
    with mounted_read_only(folder):
        [finding] = await list_wrong(base, {"counts": {"blocked": 2}, "models": [model], "waiting_for": reason})
        findings = await asyncio.to_thread(run_doctor, base)
    assert (finding.level, finding.fix) == ("problem", "Mount it for writing.")
    assert [level for level, _ in select_findings(findings, "folders")] == ["problem"]
    consequence = f'more: The file system of "{folder}" is mounted read-only. The agent cannot place 2 models.'
    assert finding.sentence.endswith(consequence)


def test_doctor_two_models_folders_on_a_read_only_file_system_are_one_finding(base: Path) -> None:
    with mounted_read_only(base.parent):
        findings = run_doctor(base, models_dir=[base / "models", base / "models/loras"])
    assert [level for level, _ in select_findings(findings, "folders")] == ["problem"]


async def test_doctor_removal_in_a_read_only_folder_is_the_finding_of_the_folder(base: Path) -> None:
    folder = base / "models/loras"
    waiting = f'1 file that no model needs, "loras/ink.sft", cannot be removed: The file system of "{folder}" is'
    with mounted_read_only(folder):
        [finding] = await list_wrong(base, {"waiting_for": f"{waiting} mounted read-only. Mount it for writing."})
    assert finding.sentence == f'loras: The file system of "{folder}" is mounted read-only.'


async def test_doctor_counts_blocked_models_and_removals_in_the_finding_of_their_folder(base: Path) -> None:
    folder = base / "models/loras"
    reason = f'The file system of "{folder}" is mounted read-only. Mount it for writing.'
    blocked = {"state": "blocked", "count": 1, "reason": reason, "model_paths": ["loras/new.sft"]}
    stuck = blocked | {"count": 2, "model_paths": ["loras/a.sft", "loras/b.sft"]}
    waiting = f'2 files that no model needs, such as "loras/a.sft", cannot be removed: {reason}'
    status = {"counts": {"blocked": 1}, "reasons": [blocked], "stuck_removals": [stuck], "waiting_for": waiting}
    with mounted_read_only(folder):
        [finding] = await list_wrong(base, status)
    assert finding.sentence == (
        f'loras: The file system of "{folder}" is mounted read-only.'
        " The agent cannot place 1 model. The agent cannot remove 2 files that no model needs."
    )


@pytest.mark.parametrize("is_running", [True, False], ids=["running", "ended"])
async def test_doctor_reports_removals_of_each_reason(base: Path, is_running: bool) -> None:
    reasons = {"The file is immutable.": 1, "The folder is closed.": 4}
    stuck = [
        {"state": "blocked", "count": count, "reason": reason, "model_paths": []} for reason, count in reasons.items()
    ]
    status = {"stuck_removals": stuck, "waiting_for": "5 files cannot be removed: The file is immutable."}
    if is_running:
        findings, does = await list_wrong(base, status), "The agent cannot remove"
    else:
        await asyncio.to_thread(lambda: write_status(base, **status))
        findings, does = await asyncio.to_thread(run_doctor, base), "At its last run, the agent could not remove"
    assert select_findings(findings, "models") == [
        ("problem", f"{does} 1 file that no model needs. The file is immutable."),
        ("problem", f"{does} 4 files that no model needs. The folder is closed."),
    ]
    assert [finding for finding in findings if "waiting" in finding.sentence] == []


async def test_doctor_failed_models_are_a_problem_with_the_reason(base: Path) -> None:
    model = {"model_path": "loras/ink.sft", "state": "failed", "reason": "The store at files.example does not work."}
    wrong = await list_wrong(base, {"counts": {"failed": 1}, "models": [model]})
    assert select_findings(wrong, "models") == [
        ("problem", "The agent could not place 1 model, and tries again. The store at files.example does not work.")
    ]


async def test_doctor_counts_the_models_of_each_reason_and_those_without_one(base: Path) -> None:
    counts = {"Another file is there.": 1, "The folder is missing. Create it.": 4}
    reasons = [
        {"state": "blocked", "count": count, "reason": reason, "model_paths": []} for reason, count in counts.items()
    ]
    wrong = await list_wrong(base, {"counts": {"blocked": 7}, "reasons": reasons})
    assert [sentence for _, sentence in select_findings(wrong, "models")] == [
        "The agent cannot place 1 model. Another file is there.",
        "The agent cannot place 4 models. The folder is missing. Create it.",
        "The agent cannot place 2 other models.",
    ]


@pytest.mark.parametrize("is_running", [True, False], ids=["running", "ended"])
async def test_doctor_reports_each_kind_of_model_that_is_not_placed(base: Path, is_running: bool) -> None:
    reasons = {"blocked": "It is blocked.", "failed": "The store does not work.", "conflict": "Another file is there."}
    models = [{"model_path": f"loras/{state}.sft", "state": state, "reason": reasons[state]} for state in reasons]
    status = {"counts": {"blocked": 1, "failed": 8, "conflict": 1, "ready": 3}, "models": models}
    if is_running:
        findings = await list_wrong(base, status)
    else:
        await asyncio.to_thread(lambda: write_status(base, **status))
        findings = await asyncio.to_thread(run_doctor, base)
    found = select_findings(findings, "models")
    assert {level for level, _ in found} == {"problem"}
    assert [sentence.startswith("At its last run") for _, sentence in found] == [not is_running] * 3
    assert [sentence.endswith(reason) for (_, sentence), reason in zip(found, reasons.values(), strict=True)] == [
        True
    ] * 3
    assert "8 models" in found[1][1]
