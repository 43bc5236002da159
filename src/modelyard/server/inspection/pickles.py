"""Inspection of pickle files: refused by policy, or scanned in a sandbox, whose every response is untrusted.

Only an explicit "clean" verdict accepts a file.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from modelyard.server.inspection.architectures import detect_architecture
from modelyard.server.inspection.metadata import ModelMetadata, clean_entries, clean_text
from modelyard.server.inspection.readers import Reader
from modelyard.server.inspection.refusals import build_refusal
from modelyard.server.inspection.sandbox import (
    DEFAULT_LIMITS,
    WORKER_SLOTS,
    SandboxFailed,
    SandboxLimits,
    SandboxProgram,
    never_stop,
    run_in_sandbox,
)
from modelyard.wire.problems import NotAModelFile

PicklePolicy = Literal["block", "scan"]

# The folder is imported as a package of its own, without site-packages and without the rest of modelyard.
SCANNER = SandboxProgram(
    boot="import sys; sys.path.append(sys.argv[1]); from pickle_scanner.program import main; main(sys.argv[2:])",
    folder=str(Path(__file__).parent),
)


def check_policy(policy: PicklePolicy) -> None:
    """Check that the team accepts pickle files.

    Raises:
        NotAModelFile: the policy is not ``scan``.
    """
    if policy != "scan":
        raise build_refusal(
            "This is a pickle file, and pickle files can run code on every machine that loads them; this team's "
            "setting 'pickle_policy' is 'block'. Convert it to .safetensors, or ask an admin of the team to set "
            "'pickle_policy' to 'scan'.",
            "pickle file",
            setting="pickle_policy",
        )


def inspect_pickle(
    reader: Reader,
    policy: PicklePolicy,
    limits: SandboxLimits = DEFAULT_LIMITS,
    raise_if_stopped: Callable[[], None] = never_stop,
) -> ModelMetadata:
    """Scan a pickle file in a sandbox and return its metadata if every pickle in it holds tensors only.

    Waits for a free worker slot, without calls of ``raise_if_stopped``. A clean scan is a label, no guarantee.

    Raises:
        NotAModelFile: the policy blocks pickle files, or the scan refused the file, failed, or exceeded a limit.
        SandboxNotStarted: the process did not start; try again later.
    """
    check_policy(policy)
    try:
        with WORKER_SLOTS:
            verdict = run_in_sandbox(SCANNER, reader, limits, raise_if_stopped)
    except SandboxFailed as failed:
        raise _build_pickle_refusal(str(failed), "oversized pickle") from None
    if verdict.get("clean") is not True:
        raise _build_pickle_refusal(str(verdict.get("reason", "")), str(verdict.get("found", "")))
    try:
        return _build_metadata(verdict)
    except (TypeError, ValueError, OverflowError):
        raise _build_pickle_refusal("made its inspection fail", "damaged pickle file") from None


def _build_metadata(verdict: dict[str, Any]) -> ModelMetadata:
    """Build the metadata from a clean verdict; values of wrong types are converted, such names are left out.

    Raises:
        TypeError, ValueError, OverflowError: a value cannot be converted.
    """
    names = [name for name in verdict.get("names", []) if isinstance(name, str)]
    dtypes = {str(name): int(count) for name, count in dict(verdict.get("dtypes", {})).items()}
    elements = int(verdict.get("elements", 0))
    return ModelMetadata(
        format="pickle",
        tensor_dtypes=dtypes,
        parameter_count=elements if dtypes else None,
        architecture=detect_architecture(dict.fromkeys(names)),
        extra=clean_entries({"pickle_scan": "clean", "container": str(verdict.get("container", ""))}),
    )


def _build_pickle_refusal(reason: str, found: str) -> NotAModelFile:
    """Build the refusal of a pickle file; ``reason`` completes "This file ...". Texts are cleaned and truncated."""
    return build_refusal(
        f"This file {clean_text(reason, 300)}. It was refused: convert it to .safetensors on a machine where "
        "running it does no harm, and upload the result.",
        clean_text(found, 60) or "damaged pickle file",
        pickle_scan="refused",
    )
