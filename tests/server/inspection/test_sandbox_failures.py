"""A sandbox that fails: told apart from a file that exceeds a limit, and with what it wrote to its standard error."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from modelyard.server.inspection.error_output import MAX_BYTES
from modelyard.server.inspection.pickles import SCANNER
from modelyard.server.inspection.sandbox import (
    LimitExceeded,
    SandboxFailed,
    SandboxLimits,
    run_in_sandbox,
)
from tests.server.inspection import builders

pytestmark = pytest.mark.slow

PROGRAM = """
import os, signal, sys
sys.path.append(sys.argv[1])
from pickle_scanner.program import main
def inspect(ranges):
    ranges.read(0, 1)
    {}
main(sys.argv[2:], inspect)
"""


def run_program(statement: str, limits: SandboxLimits | None = None) -> dict[str, Any]:
    """Run a statement in a sandbox that has read a byte of its file; return the verdict that it returns."""
    program = replace(SCANNER, boot=PROGRAM.format(statement))
    return run_in_sandbox(program, builders.MemoryReader(b"x"), limits or SandboxLimits())


def get_failure(statement: str) -> SandboxFailed:
    """Return the failure of a sandbox that runs a statement."""
    with pytest.raises(SandboxFailed) as failed:
        run_program(statement)
    return failed.value


def test_sandbox_whose_program_raises_fails_with_its_traceback() -> None:
    failed = get_failure("raise KeyError('heap')")
    assert str(failed) == "The sandbox ended with code 1."
    assert failed.output.rstrip().endswith("KeyError: 'heap'")


def test_sandbox_that_imports_after_its_limits_are_set_fails_with_the_name_of_the_module() -> None:
    """In tests the sandbox also notices an import that needs no file: see ``tests.server.sandbox_imports``."""
    for module in ("xmlrpc", "_heapq"):
        assert get_failure(f"import {module}").output == f"The sandbox imports {module} after its limits are set."


def test_sandbox_that_is_killed_fails_with_the_signal() -> None:
    assert str(get_failure("os.kill(os.getpid(), signal.SIGKILL)")) == "The sandbox was ended by signal 9."


def test_sandbox_with_an_invalid_verdict_fails_with_what_it_wrote() -> None:
    failed = get_failure("os.write(2, b'odd'); return [1]")
    assert (str(failed), failed.output) == ("The sandbox sent an invalid verdict.", "odd")


def test_sandbox_failure_has_only_the_end_of_a_long_output() -> None:
    failed = get_failure("raise KeyError('x' * 200_000 + 'end')")
    assert len(failed.output) == MAX_BYTES
    assert failed.output.rstrip().endswith("end'")


def test_sandbox_that_writes_more_than_a_pipe_holds_to_its_standard_error_continues() -> None:
    assert run_program("os.write(2, b'x' * 300_000); return {'is_done': True}") == {"is_done": True}


def test_sandbox_that_closes_its_output_fails_with_the_end_of_what_it_writes_after_that() -> None:
    failed = get_failure("os.close(1); os.write(2, b'x' * 300_000 + b'end'); os._exit(4)")
    assert str(failed) == "The sandbox ended with code 4."
    assert failed.output.endswith("end")


def test_sandbox_that_closes_its_standard_error_continues() -> None:
    assert run_program("os.close(2); return {'is_done': True}") == {"is_done": True}


def test_sandbox_failure_has_no_characters_that_change_a_terminal() -> None:
    assert get_failure(r"os.write(2, b'\x1b[31mred\nnext\x9b'); return []").output == "\ufffd[31mred\nnext\ufffd"


def test_sandbox_with_a_verdict_above_the_limit_exceeds_a_limit_of_the_file() -> None:
    with pytest.raises(LimitExceeded, match="longer description"):
        run_program("return {'names': 'x' * 5_000_000}")


def test_sandbox_out_of_memory_exceeds_a_limit_of_the_file() -> None:
    with pytest.raises(LimitExceeded, match="memory limit"):
        run_program("bytearray(2**30)", SandboxLimits(memory=2**28))


def test_failed_sandboxes_leave_no_descriptor_open() -> None:
    get_failure("raise KeyError")
    before = count_descriptors()
    for _ in range(5):
        get_failure("raise KeyError")
    assert count_descriptors() == before


def count_descriptors() -> int:
    """Return the number of open descriptors of this process."""
    return len(list(Path("/proc/self/fd").iterdir()))
