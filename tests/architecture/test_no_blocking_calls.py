import time
from pathlib import Path
from typing import Any

import pytest
from blockbuster import BlockingError

import modelyard

SLEEPER = "import time\ndef doze():\n    time.sleep(0.001)\n"


@pytest.fixture
def package_code() -> dict[str, Any]:
    """Compile a function that sleeps, with a file name inside the package."""
    names: dict[str, Any] = {}
    file = Path(modelyard.__path__[0]) / "dozing.py"
    exec(compile(SLEEPER, file, "exec"), names)  # noqa: S102 - the text is a few lines above
    return names


async def test_blocking_call_of_package_on_event_loop_raises(package_code: dict[str, Any]) -> None:
    with pytest.raises(BlockingError):
        package_code["doze"]()


async def test_blocking_call_of_test_on_event_loop_is_allowed() -> None:
    time.sleep(0.001)  # noqa: ASYNC251 - this is what is tested


def test_blocking_call_of_package_without_event_loop_is_allowed(package_code: dict[str, Any]) -> None:
    package_code["doze"]()
