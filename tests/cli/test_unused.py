"""The lines of ``modelyard unused``."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from modelyard.cli.registry.machines.unused import format_unused
from modelyard.wire.schemas import PageMeta
from modelyard.wire.uses.lists import UnusedModel, UnusedModelList


def build_model(path: str, size: int, used: datetime | None, *machines: str, more: int = 0) -> UnusedModel:
    return UnusedModel(
        model_id=UUID(int=1),
        display_name=path,
        model_path=path,
        file_size=size,
        last_used_at=used,
        agent_ids=list(machines),
        agent_count=len(machines) + more,
    )


def test_format_unused_ends_with_what_removal_frees() -> None:
    used = datetime.now(UTC) - timedelta(days=120)
    models = [
        build_model("checkpoints/sdxl.safetensors", 106 * 10**9, used, "render-01", "render-02"),
        build_model("loras/ink.safetensors", 10**6, None, "render-03", more=480),
    ]
    sums = UnusedModelList(
        unused_model_list=models,
        model_count=2,
        machine_count=3,
        total_bytes=212 * 10**9 + 10**6,
        uncounted_ids=[],
        page_meta=PageMeta(current_page=1, per_page=50, total_count=2, next_cursor=None),
    )
    lines = [str(line) for line in format_unused(sums, models, 90, None)]
    assert "checkpoints/sdxl.safetensors" in lines[1]
    assert "render-01, render-02" in lines[1]
    assert "never" in lines[2]
    assert "render-03 and 480 more" in lines[2]
    assert lines[-1] == "Safe to remove from 3 machines: 2 models, 212 GB."
