import time
from pathlib import Path
from typing import Any

import pytest
from blockbuster import BlockingError

import modelyard

SLEEPER = "import time\ndef doze():\n    time.sleep(0.001)\n"


@pytest.fixture
def our_code() -> dict[str, Any]:
    """A function that looks as if it stood in the package."""
    names: dict[str, Any] = {}
    where = Path(modelyard.__path__[0]) / "dozing.py"
    exec(compile(SLEEPER, where, "exec"), names)  # noqa: S102 - the text is a few lines above
    return names


async def test_our_code_may_not_block_the_event_loop(our_code: dict[str, Any]) -> None:
    with pytest.raises(BlockingError):
        our_code["doze"]()


async def test_a_test_itself_may_block_it() -> None:
    time.sleep(0.001)  # noqa: ASYNC251 - this is what is tested


def test_our_code_may_block_a_thread(our_code: dict[str, Any]) -> None:
    our_code["doze"]()
