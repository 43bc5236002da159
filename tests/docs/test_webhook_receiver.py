"""The receiver of the guide, run as it is written."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import httpx2
import pytest

from modelyard.server.webhooks.payloads import build_test_body
from modelyard.server.webhooks.signing import build_headers, create_secret
from tests.ports import free_port
from tests.waiting import PATIENCE_SECONDS, wait_until
from tools.repository import ROOT

pytestmark = pytest.mark.slow
SECRET = create_secret()
TEAM, DELIVERY = UUID(int=1), UUID(int=2)


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """The address of the running receiver, and the file with its output."""
    page = (ROOT / "docs" / "webhooks.md").read_text(encoding="utf-8")
    [program] = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    port, output = free_port(), tmp_path / "output"
    environment = os.environ | {"WEBHOOK_SECRET": SECRET, "PORT": str(port)}
    with output.open("wb") as log:
        process = subprocess.Popen([sys.executable, "-c", program], env=environment, stdout=log, stderr=log)
    try:
        yield f"http://127.0.0.1:{port}", output
    finally:
        process.terminate()
        process.wait(PATIENCE_SECONDS)


def send(url: str, moment: datetime, secret: str = SECRET) -> int:
    """Send a test as the registry does, once the receiver listens; return the status."""
    body = build_test_body(DELIVERY, TEAM, moment)
    headers = build_headers([secret], DELIVERY, moment, body)

    def post() -> int | None:
        try:
            return httpx2.post(url, content=body, headers=headers, trust_env=False).status_code
        except httpx2.ConnectError:
            return None

    return wait_until(post)


def test_receiver_of_the_guide_handles_a_repeat_once_and_returns_400_for_another_secret_or_an_old_time(
    receiver: tuple[str, Path],
) -> None:
    url, output = receiver
    moment = datetime.now(UTC)
    assert send(url, moment) == 204
    assert send(url, moment) == 204
    assert send(url, moment, create_secret()) == 400
    assert send(url, moment - timedelta(minutes=6)) == 400
    assert output.read_text().count("webhook.test") == 1
