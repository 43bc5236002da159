"""The content that tests download, and the check of its target."""

import os
from collections.abc import Callable

from modelyard.transfer.download.download import DownloadTarget

CONTENT = os.urandom(1_000_000)
Fetch = Callable[..., None]


def assert_only_complete_target(desired: DownloadTarget) -> None:
    assert desired.target.read_bytes() == CONTENT
    assert list(desired.target.parent.iterdir()) == [desired.target]
