"""Choice of a file's validator by extension and content, and its inspection, in this process or a sandbox."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from modelyard.comfyui.model_files.formats import detect_format
from modelyard.comfyui.model_files.readers import Reader
from modelyard.comfyui.model_files.refusals import build_refusal
from modelyard.server.inspection.gguf import validate_gguf
from modelyard.server.inspection.metadata import ModelMetadata
from modelyard.server.inspection.onnx import validate_onnx
from modelyard.server.inspection.pickles import PickleRule, check_policy, inspect_pickle
from modelyard.server.inspection.readers import LimitedReader, TooExpensive
from modelyard.server.inspection.safetensors import validate_safetensors
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
from modelyard.wire.formats import find_format
from modelyard.wire.problems import NotAModelFile

VALIDATORS: dict[str, Callable[[Reader], ModelMetadata]] = {
    "safetensors": validate_safetensors,
    "gguf": validate_gguf,
    "onnx": validate_onnx,
}
# What a validator may read within a request; it then takes less processor time than the rest of a registration.
REQUEST_READ_BYTES = {"safetensors": 128 * 1024, "gguf": 64 * 1024, "onnx": 16 * 1024}
# Safetensors headers up to this size are inspected within a request too: in a sandbox, one at a time, for 2 s at most.
REQUEST_HEADER_BYTES = 1024 * 1024 + 16
REQUEST_LIMITS = SandboxLimits(wall_seconds=2.0)
_REQUEST_SLOT = threading.BoundedSemaphore(1)


def build_uninspected_metadata(file_name: str) -> dict[str, Any]:
    """Build the metadata of a file that was not inspected yet: only the format that its extension stands for."""
    return asdict(ModelMetadata(find_format(file_name) or ""))


def build_refused_metadata(file_name: str, refusal: Mapping[str, Any]) -> dict[str, Any]:
    """Build the metadata of a file refused after its registration: its format, imports and the refusal's facts."""
    facts = {name: value for name, value in refusal.items() if name != "imports"}
    return build_uninspected_metadata(file_name) | {"refusal": facts, "imports": refusal.get("imports", {})}


def inspect_within_request(reader: Reader, file_name: str, rule: PickleRule) -> ModelMetadata | None:
    """Inspect a file if that is cheap; return None if it must be left to a verification worker.

    Left to a worker: pickles; files of which more than ``REQUEST_READ_BYTES`` must be read (GGUF 64 KiB, ONNX 16 KiB);
    safetensors headers above 1 MiB, and those above 128 KiB if the only sandbox for requests is in use, fails or takes
    more than two seconds. Blocks meanwhile, so call it from a thread.

    Raises:
        NotAModelFile: this is not a complete model of the format that its extension stands for, or it is a pickle and
            the rule blocks pickles. Errors of the store pass through.
    """
    format_name = detect_format(reader, file_name)
    if format_name == "pickle":
        check_policy(rule)
        return None
    try:
        return VALIDATORS[format_name](LimitedReader(reader, REQUEST_READ_BYTES[format_name]))
    except TooExpensive as expensive:
        is_header = format_name == "safetensors" and expensive.needed <= REQUEST_HEADER_BYTES
        return _validate_in_free_sandbox(reader) if is_header else None


def inspect_file(
    reader: Reader, file_name: str, rule: PickleRule, raise_if_stopped: Callable[[], None] = never_stop
) -> ModelMetadata:
    """Validate a file against the format that its extension stands for; return its metadata.

    Reads the descriptions of the tensors, hardly their data. Pickles and expensive files are inspected in a sandbox,
    after a wait for a worker slot, for up to minutes. ``raise_if_stopped`` is called while a sandbox runs, and an
    exception from it ends the inspection and passes through.

    Raises:
        NotAModelFile: the file is another format, invalid or incomplete, or its inspection exceeds a limit; the detail
            says what the file is and what to do. Errors of the store pass through.
        SandboxFailed: the process did not start, or failed: no fault of the file; try again later.
    """
    format_name = detect_format(reader, file_name)
    if format_name == "pickle":
        return inspect_pickle(reader, rule, raise_if_stopped=raise_if_stopped)
    try:
        return VALIDATORS[format_name](LimitedReader(reader, REQUEST_READ_BYTES[format_name]))
    except TooExpensive:
        pass
    try:
        with WORKER_SLOTS:
            return _validate_in_sandbox(reader, format_name, DEFAULT_LIMITS, raise_if_stopped)
    except LimitExceeded as exceeded:
        raise build_refusal(
            f"This file {exceeded}. If the file is genuine, ask the operators of the registry to look at it.",
            "oversized header",
        ) from None


def _validate_in_free_sandbox(reader: Reader) -> ModelMetadata | None:
    """Validate safetensors in the one sandbox for requests; return None if it is in use, fails or exceeds 2 seconds."""
    if not _REQUEST_SLOT.acquire(blocking=False):
        return None
    try:
        return _validate_in_sandbox(reader, "safetensors", REQUEST_LIMITS, never_stop)
    except (LimitExceeded, SandboxFailed):
        return None
    finally:
        _REQUEST_SLOT.release()


def _validate_in_sandbox(
    reader: Reader, format_name: str, limits: SandboxLimits, raise_if_stopped: Callable[[], None]
) -> ModelMetadata:
    """Run the validator of a format in a sandbox process and return its metadata. The caller limits their number.

    Raises:
        NotAModelFile: the validator refused the file.
        LimitExceeded, SandboxFailed: see ``run_in_sandbox``; SandboxFailed also if the verdict lacks what it must have.
    """
    program = SandboxProgram(
        boot="import sys; sys.path.append(sys.argv[1]); "
        "from modelyard.server.inspection.header_program import main; main(sys.argv[2:])",
        folder=str(Path(__file__).parents[3]),
        arguments=(format_name,),
    )
    verdict = run_in_sandbox(program, reader, limits, raise_if_stopped)
    try:
        if "refusal" not in verdict:
            return ModelMetadata(**verdict["model"])
        refusal = NotAModelFile(verdict["refusal"]["detail"], **verdict["refusal"]["facts"])
    except (KeyError, TypeError) as error:
        raise SandboxFailed(f"The sandbox sent an invalid verdict ({type(error).__name__}).") from error
    raise refusal
