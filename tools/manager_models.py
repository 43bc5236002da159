"""Writes ``docs/reference/comfyui-manager-models.md``: which pickle policy each model of ComfyUI-Manager's list needs.

The list is in the package comfyui-manager, which ``make manager-models`` installs alone into an environment of its own.
Only names and what the registry's rules say of them are written, nothing else of the list.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from modelyard.server.imports.sources.drafts import guess_model_type
from modelyard.server.imports.sources.links import Endpoints, parse_link
from modelyard.server.outbound.errors import AddressRefused
from modelyard.wire.folders.names import FolderInvalid, check_file_name
from modelyard.wire.formats import find_format
from modelyard.wire.paths import ModelPathInvalid, parse_model_path
from tools.reference import NOTE, build_page, build_table
from tools.repository import ROOT

PAGE = ROOT / "docs" / "reference" / "comfyui-manager-models.md"
COMMAND = ".venv/bin/python -m tools.manager_models"
ENVIRONMENT = ROOT / ".venv-manager"
# The list's file name of a whole repository, and its folder for "the usual one of the type".
_REPOSITORY, _USUAL_FOLDER = "<huggingface>", "default"
# Known to be programs: files of Ultralytics are whole pickled modules, and .jit is TorchScript.
_PROGRAM_TYPES, _PROGRAM_EXTENSION = frozenset({"Ultralytics"}), ".jit"

# The least permissive policy that takes a model. ``none``: it is refused whatever the policy is.
Policy = Literal["block", "scan", "trusted", "folder", "none"]
_MEANINGS: dict[Policy, str] = {
    "block": "Accepted with every policy, also with the default `block`.",
    "scan": "A pickle. Accepted with `scan` or `trusted` if the scan finds tensors only, and converted to safetensors "
    "with `convert`. One that the scan refuses needs `trusted`. Only the file itself shows which it is.",
    "trusted": "A pickle that is a program: the scan refuses it, and it cannot be converted. Accepted with `trusted` "
    "once an admin has allowed it by its hash.",
    "folder": "A repository of many files, so a model that is a folder. The policy applies to each pickle in it.",
    "none": "Refused with every policy: an archive or code.",
}


@dataclass(frozen=True)
class Entry:
    """A model of the list: where it comes from, and the path below the models folder that it is stored at."""

    name: str
    kind: str
    file_name: str
    folder: str
    url: str


@dataclass(frozen=True)
class Verdict:
    """What the registry's rules say of an entry."""

    file_format: str
    policy: Policy
    reason: str


def read_entries(environment: Path = ENVIRONMENT) -> list[Entry]:
    """Read the list of the package that is installed in the environment.

    Raises:
        FileNotFoundError: it is not installed there.
    """
    found = sorted(environment.glob("lib/python*/site-packages/comfyui_manager/model-list.json"))
    if not found:
        raise FileNotFoundError(
            "ComfyUI-Manager's list is not installed: run `make manager-models`, which installs it."
        )
    listed = json.loads(found[0].read_text(encoding="utf-8"))["models"]
    return [build_entry(each) for each in listed]


def build_entry(listed: dict[str, Any]) -> Entry:
    """Build an entry from an object of the list; a repository is stored in a folder of its name."""
    is_repository = listed["filename"] == _REPOSITORY
    url = f"hf://{listed['url']}" if is_repository else listed["url"]
    usual = listed["save_path"] == _USUAL_FOLDER
    return Entry(
        name=listed["name"],
        kind=listed["type"],
        file_name=listed["url"].rpartition("/")[2] if is_repository else listed["filename"],
        folder=guess_model_type(url, [listed["type"]]) if usual else listed["save_path"],
        url=url,
    )


def judge(entry: Entry) -> Verdict:
    """Return what the registry's rules say of an entry: those of links, of paths and of formats."""
    try:
        parse_link(entry.url, Endpoints())
        parse_model_path(entry.folder.partition("/")[0], f"{entry.folder}/{entry.file_name}")
    except (AddressRefused, ModelPathInvalid) as invalid:
        return Verdict("", "none", str(invalid))
    if entry.url.startswith("hf://"):
        return Verdict("folder", "folder", "many files: registered as one folder")
    file_format = find_format(entry.file_name)
    if file_format is None:
        return Verdict(Path(entry.file_name).suffix, "none", explain_refusal(entry.file_name))
    if file_format != "pickle":
        return Verdict(file_format, "block", "no pickle")
    if entry.file_name.endswith(_PROGRAM_EXTENSION):
        return Verdict(file_format, "trusted", "TorchScript: a program")
    if entry.kind in _PROGRAM_TYPES:
        return Verdict(file_format, "trusted", "whole module: names classes of its program")
    return Verdict(file_format, "scan", "may hold code: the file is scanned")


def explain_refusal(file_name: str) -> str:
    """Return why a file without a known format is refused: code, or no format of models."""
    try:
        check_file_name(file_name)
    except FolderInvalid as invalid:
        if " is code" in str(invalid):
            return "code"
    return "archive: unpack it, and upload its model files" if file_name.endswith(".zip") else "no format of models"


def count_policies(verdicts: Sequence[Verdict]) -> dict[Policy, int]:
    """Return the number of entries for each policy, all policies included."""
    counts = Counter(verdict.policy for verdict in verdicts)
    return {policy: counts[policy] for policy in get_args(Policy)}


def build_manager_page(entries: Sequence[Entry]) -> str:
    """Build the page: totals, then a row for each entry in the order of the list."""
    verdicts = [judge(entry) for entry in entries]
    totals = [(f"`{name}`", str(count), _MEANINGS[name]) for name, count in count_policies(verdicts).items()]
    formats = Counter(verdict.file_format for verdict in verdicts).most_common()
    rows = [
        (entry.name, verdict.file_format, f"`{verdict.policy}`", verdict.reason)
        for entry, verdict in zip(entries, verdicts, strict=True)
    ]
    introduction = (
        f"What the registry's rules say of the {len(entries)} entries of ComfyUI-Manager's model list (package "
        "`comfyui-manager`, pinned in `requirements/manager.txt`): the format by the name of the file, and the "
        "[pickle policy](../admin.md) of the team that it needs at least. No file was downloaded for this table. "
        f"`make manager-models` checks it, `{COMMAND}` writes it."
    )
    body = (
        f"{build_table(('policy', 'entries', 'meaning'), totals)}\n\n"
        f"By format: {', '.join(f'{count} {name}' for name, count in formats)}.\n\n"
        f"## Entries\n\n{build_table(('model', 'format', 'policy', 'why'), rows)}"
    )
    return build_page("ComfyUI-Manager's models", introduction, body, NOTE.replace("make fix", COMMAND))


def main() -> int:
    """Write the page from the installed list."""
    argparse.ArgumentParser(description="Write docs/reference/comfyui-manager-models.md.").parse_args()
    try:
        entries = read_entries()
    except FileNotFoundError as absent:
        print(absent, file=sys.stderr)
        return 1
    PAGE.write_text(build_manager_page(entries), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
