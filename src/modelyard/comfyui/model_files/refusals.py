"""The problems with which files are refused."""

from typing import Any

from modelyard.wire.problems import NotAModelFile


def build_refusal(detail: str, found: str, **facts: Any) -> NotAModelFile:
    """Build the problem of a refused file.

    ``detail`` says what the file is and what to do; ``found`` names it in a word or two. Both and ``facts`` are sent
    to the client; ``field`` is always ``storage_key``.
    """
    return NotAModelFile(detail, field="storage_key", found=found, **facts)


def build_pickle_refusal() -> NotAModelFile:
    """Build the problem of a pickle file in a team that blocks them."""
    return build_refusal(
        "This is a pickle file, and pickle files can run code on every machine that loads them; this team takes none. "
        "Convert it to .safetensors, or ask an admin of the team to allow pickle files that a scan finds harmless.",
        "pickle file",
        setting="pickle_policy",
        permitted_by="scan",
    )


def build_folder_pickle_refusal() -> NotAModelFile:
    """Build the problem of a pickle file inside a folder, in a team that keeps pickle files only to convert them."""
    return build_refusal(
        "This is a pickle file, which this team keeps only to convert it, and a file inside a folder cannot be "
        "converted at the registry. Replace it with a .safetensors file, or ask an admin of the team to allow pickle "
        "files that a scan finds harmless.",
        "pickle file",
        setting="pickle_policy",
        permitted_by="scan",
    )
