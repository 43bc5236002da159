from pathlib import Path
from uuid import UUID

from modelyard.cli.this_machine.sync_output import list_result_lines, to_result_document
from modelyard.sync.apply.replica_states import ReplicaState
from modelyard.sync.planning.actions import Plan

PATH = Path("/models/loras/ink.safetensors")
FAILED = ReplicaState(UUID(int=1), "loras/ink.safetensors", None, reason="The folder is read-only.", path=PATH)
REMOVED = ReplicaState(UUID(int=1), "loras/ink.safetensors", None, origin="removed", path=PATH)


def test_result_of_failed_removal_says_not_removed_with_reason() -> None:
    assert list_result_lines(Plan(), [FAILED], False)[0] == f"not removed  {PATH}: The folder is read-only."
    assert to_result_document(FAILED)["state"] == "not removed"


def test_result_of_removal_says_removed() -> None:
    assert list_result_lines(Plan(), [REMOVED], False)[0] == f"removed  {PATH}"
    assert to_result_document(REMOVED)["state"] == "removed"
