import pytest

from modelyard.agent.reconciliation.log_deduplication import MAX_OLD_LINES, LoggedLines

pytestmark = pytest.mark.slow


def test_take_new_lines_from_incomplete_lists_returns_each_line_once() -> None:
    logged = LoggedLines()
    assert logged.take_new_lines({"b", "a"}, is_complete=False) == ["a", "b"]
    assert logged.take_new_lines({"c"}, is_complete=False) == ["c"]
    assert logged.take_new_lines({"a", "c"}, is_complete=False) == []


def test_take_new_lines_returns_line_again_after_complete_list_without_it() -> None:
    logged = LoggedLines()
    logged.take_new_lines({"a", "b"}, is_complete=False)
    assert logged.take_new_lines({"b"}, is_complete=True) == []
    assert logged.take_new_lines({"a", "b"}, is_complete=True) == ["a"]


def test_take_new_lines_beyond_maximum_remembers_newest() -> None:
    logged = LoggedLines()
    for first in range(0, MAX_OLD_LINES + 100, 100):
        lines = {f"{number} bytes free" for number in range(first, first + 100)}
        logged.take_new_lines({"lasting"} | lines, is_complete=False)
    assert logged.take_new_lines({"lasting", f"{MAX_OLD_LINES} bytes free"}, is_complete=False) == []
    assert logged.take_new_lines({"0 bytes free"}, is_complete=False) == ["0 bytes free"]
