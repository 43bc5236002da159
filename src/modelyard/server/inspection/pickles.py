"""Inspection of pickle files: refused by a rule, or scanned in a sandbox, whose every response is untrusted.

Only an explicit "clean" verdict accepts a file, unless an admin has allowed this content.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from modelyard.comfyui.model_files.readers import Reader
from modelyard.comfyui.model_files.refusals import build_pickle_refusal, build_refusal
from modelyard.server.inspection.description.architectures import describe_model
from modelyard.server.inspection.description.layers import Layers
from modelyard.server.inspection.metadata import ModelMetadata, clean_entries
from modelyard.server.inspection.sandbox import (
    DEFAULT_LIMITS,
    WORKER_SLOTS,
    LimitExceeded,
    SandboxFailed,
    SandboxLimits,
    SandboxProgram,
    never_stop,
    run_in_sandbox,
)
from modelyard.wire.problems import NotAModelFile
from modelyard.wire.texts.cleaning import clean_text

# What applies to one file. ``block``: refused unread. ``scan``: accepted if the scan finds nothing. ``allow``: accepted
# whatever the scan finds, since an admin has allowed it. ``convert``: scanned, and refused also if it is clean.
PickleRule = Literal["block", "scan", "allow", "convert"]
# The values of ``pickle_scan`` in the metadata of a file, and in the facts of a refusal.
CLEAN, ALLOWED, REFUSED = "clean", "allowed", "refused"
MAX_IMPORTS = 100

# The folder is imported as a package of its own, without site-packages and without the rest of modelyard.
SCANNER = SandboxProgram(
    boot="import sys; sys.path.append(sys.argv[1]); from pickle_scanner.program import main; main(sys.argv[2:])",
    folder=str(Path(__file__).parent),
)


def check_policy(rule: PickleRule) -> None:
    """Check that the team accepts pickle files.

    Raises:
        NotAModelFile: the rule is ``block``.
    """
    if rule == "block":
        raise build_pickle_refusal()


def inspect_pickle(
    reader: Reader,
    rule: PickleRule,
    limits: SandboxLimits = DEFAULT_LIMITS,
    raise_if_stopped: Callable[[], None] = never_stop,
) -> ModelMetadata:
    """Scan a pickle file in a sandbox and return its metadata if every pickle in it holds tensors only.

    Waits for a free worker slot, without calls of ``raise_if_stopped``. A clean scan is a label, no guarantee.

    Raises:
        NotAModelFile: the rule blocks pickle files or keeps them only for conversion, or the scan refused the file or
            exceeded a limit.
        SandboxFailed: the process did not start, or failed: no fault of the file; try again later.
    """
    check_policy(rule)
    try:
        metadata = _scan(reader, limits, raise_if_stopped)
    except NotAModelFile as refused:
        if rule == "allow":
            return _build_allowed_metadata(refused)
        raise
    if rule == "convert":
        raise _build_conversion_refusal()
    return metadata


def _build_conversion_refusal() -> NotAModelFile:
    """Build the refusal of a clean pickle file of a team that keeps them only to convert them."""
    return build_refusal(
        "This pickle file holds tensors only. When it was checked, the team kept pickle files only to convert them, so "
        "machines do not get it. Convert it on its page or with modelyard convert. If the team accepts pickle "
        "files now, pushing the file again accepts it.",
        "pickle file",
        setting="pickle_policy",
        pickle_scan=CLEAN,
    )


def _scan(reader: Reader, limits: SandboxLimits, raise_if_stopped: Callable[[], None]) -> ModelMetadata:
    """Scan the file and return its metadata; raises as ``inspect_pickle``."""
    try:
        with WORKER_SLOTS:
            verdict = run_in_sandbox(SCANNER, reader, limits, raise_if_stopped)
    except LimitExceeded as exceeded:
        raise _build_pickle_refusal(str(exceeded), "oversized pickle") from None
    if verdict.get("clean") is False:
        raise _build_pickle_refusal(str(verdict.get("reason", "")), str(verdict.get("found", "")), verdict)
    if verdict.get("clean") is not True:
        raise SandboxFailed("The sandbox sent a verdict that is neither clean nor a refusal.")
    try:
        return _build_metadata(verdict)
    except (TypeError, ValueError, OverflowError) as error:
        raise SandboxFailed(f"The sandbox sent an invalid verdict ({type(error).__name__}).") from error


def _build_allowed_metadata(refused: NotAModelFile) -> ModelMetadata:
    """Build the metadata of a file that an admin has allowed though the scan has refused it."""
    extra = clean_entries({"pickle_scan": ALLOWED, "pickle_finding": refused.detail})
    return ModelMetadata("pickle", extra=extra, imports=refused.facts["imports"])


def _build_metadata(verdict: dict[str, Any]) -> ModelMetadata:
    """Build the metadata from a clean verdict; values of wrong types are converted, such names are left out.

    Raises:
        TypeError, ValueError, OverflowError: a value cannot be converted.
    """
    names = [name for name in verdict.get("names", []) if isinstance(name, str)]
    dtypes = {str(name): int(count) for name, count in dict(verdict.get("dtypes", {})).items()}
    elements = int(verdict.get("elements", 0))
    description = describe_model(Layers(dict.fromkeys(names)))
    return ModelMetadata(
        format="pickle",
        tensor_dtypes=dtypes,
        parameter_count=elements if dtypes else None,
        architecture=description.architecture,
        **description.entries,
        extra=clean_entries({"pickle_scan": CLEAN, "container": str(verdict.get("container", ""))}),
    )


def _build_pickle_refusal(reason: str, found: str, verdict: Mapping[str, Any] | None = None) -> NotAModelFile:
    """Build the refusal of a pickle file; ``reason`` completes "This file ...". Texts are cleaned and truncated.

    ``verdict`` may have the scanner's list of what the file imports: pairs of a name and whether files of tensors need
    it.
    """
    return build_refusal(
        f"This file {clean_text(reason, 300)}. It was refused: convert it to .safetensors on a machine where "
        "running it does no harm, and upload the result.",
        clean_text(found, 60) or "damaged pickle file",
        pickle_scan=REFUSED,
        imports=_clean_imports(verdict or {}),
    )


def _clean_imports(verdict: Mapping[str, Any]) -> dict[str, Any]:
    """Return at most ``MAX_IMPORTS`` imports with clean names, and whether the list is complete."""
    listed = verdict.get("imports")
    pairs = listed if isinstance(listed, list) else []
    names = [
        {"name": clean_text(pair[0], 200), "is_expected": pair[1]}
        for pair in pairs[:MAX_IMPORTS]
        if isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str) and isinstance(pair[1], bool)
    ]
    is_complete = verdict.get("imports_complete") is True and len(names) == len(pairs)
    return {"names": names, "is_complete": is_complete}
