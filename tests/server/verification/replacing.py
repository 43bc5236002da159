"""Models that replace each other, and what machines are told meanwhile."""

from tests.server.agents.machine import Machine
from tests.server.verification.unread import Unread
from tests.server.world import a_model_file, hash_of

PATH = "loras/ink.safetensors"
OLD, NEW, NEWER, OTHER = (a_model_file(word) for word in ("old", "new", "newer", "other"))


def named(machine: Machine) -> dict[str, str]:
    """The hash at each path in the machine's manifest, which names each path once."""
    entries = machine.manifest().json()["model_list"]
    found = {entry["model_path"]: entry["file_hash"] for entry in entries}
    assert len(found) == len(entries)
    return found


def names(machine: Machine, content: bytes, path: str = PATH) -> bool:
    """Whether that is all that the manifest names."""
    return named(machine) == {path: hash_of(content)}


def fetched(unread: Unread, machine: Machine, model_id: str) -> bytes | int:
    """What the machine gets of a model, or with which status it is refused."""
    answer = machine.key.get(f"/models/{model_id}/download", redirect="false")
    return unread.client.get(answer.json()["download_url"]).content if answer.status_code == 200 else answer.status_code
