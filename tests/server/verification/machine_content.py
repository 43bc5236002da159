"""Contents of one model, and what the manifest and downloads of a machine have of them."""

from tests.server.agents.machine import Machine
from tests.server.harness import hash_of, make_model_file
from tests.server.verification.unverified_team import UnverifiedTeam

PATH = "loras/ink.safetensors"
OLD, NEW, NEWER, OTHER = (make_model_file(word) for word in ("old", "new", "newer", "other"))


def list_manifest_hashes(machine: Machine) -> dict[str, str]:
    """Return the hash at each path in the machine's manifest; fails if a path occurs twice."""
    entries = machine.manifest().json()["model_list"]
    hashes = {entry["model_path"]: entry["file_hash"] for entry in entries}
    assert len(hashes) == len(entries)
    return hashes


def manifest_has_only(machine: Machine, content: bytes, path: str = PATH) -> bool:
    """Return whether the manifest has exactly this content at this path."""
    return list_manifest_hashes(machine) == {path: hash_of(content)}


def download_as_machine(
    unverified: UnverifiedTeam, machine: Machine, model_id: str, version: int | None = None
) -> bytes | int:
    """Return the content that the machine downloads, or the status with which it is refused."""
    query = {} if version is None else {"version": version}
    answer = machine.key.get(f"/models/{model_id}/download", redirect="false", **query)
    return (
        unverified.client.get(answer.json()["download_url"]).content
        if answer.status_code == 200
        else answer.status_code
    )
