"""Sandboxes in tests: each is ended if it imports a module once its limits are set; or all are broken."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from modelyard.server.inspection import sandbox

# Python prints a traceback by this module, and does without it if it is missing.
_HOOK = """
import os, resource, sys
set_limit = resource.setrlimit
def refuse_imports(event, arguments):
    if event == "import" and arguments[0] != "traceback":
        os.write(2, f"The sandbox imports {arguments[0]} after its limits are set.".encode())
        os._exit(1)
def set_limit_and_refuse_imports(kind, limits):
    set_limit(kind, limits)
    if kind == resource.RLIMIT_NOFILE:
        sys.addaudithook(refuse_imports)
resource.setrlimit = set_limit_and_refuse_imports
"""


@contextmanager
def imports_forbidden_in_sandboxes() -> Iterator[None]:
    """End each sandbox that this process starts in the block if it imports a module after it has set its limits.

    No file can be opened then, so an import would fail, or work only where another module has imported it before.
    """
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sandbox, "_PREPARATION", _HOOK + sandbox._PREPARATION)
        yield


@pytest.fixture
def broken_sandbox(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """End every sandbox of this process before it reads its file; ``undo`` repairs them."""
    monkeypatch.setattr(sandbox, "_PREPARATION", "raise SystemExit('the inspector is broken')\n")
    return monkeypatch
