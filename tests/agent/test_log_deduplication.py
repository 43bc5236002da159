import json
import logging

import pytest

from modelyard.agent.reconciliation.log_deduplication import (
    MAX_OLD_LINES,
    MAX_UNREADABLE_KINDS,
    LoggedLines,
    LoggedUnreadableValues,
)
from modelyard.wire.agents.heartbeats import HeartbeatResponse, UnreadableField
from modelyard.wire.agents.values import MAX_UNREADABLE_FIELDS

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


def build_answer(*unreadable: UnreadableField) -> HeartbeatResponse:
    """Build the answer of a registry that could not read some values."""
    return HeartbeatResponse(
        resend_all=False,
        paused=False,
        approved_removal=None,
        sync_now=False,
        interval_seconds=30,
        unreadable_list=list(unreadable),
        unreadable_count=len(unreadable),
    )


def test_unreadable_values_of_one_kind_are_logged_once_with_the_first_as_example(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING, "modelyard.agent")
    unknown = [UnreadableField(field=f"model_list.{number}.state", message="Unknown.") for number in range(2)]
    logged = LoggedUnreadableValues()
    for answer in (build_answer(*unknown), build_answer(), build_answer(*unknown)):
        logged.update(answer)
    assert [record.message for record in caplog.records] == [
        "The registry could not read 2 values of a report. The first of this kind: model_list.0.state: Unknown."
    ]


def test_unreadable_values_beyond_the_maximum_of_kinds_are_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "modelyard.agent")
    logged = LoggedUnreadableValues()
    for number in range(MAX_UNREADABLE_KINDS + 5):
        logged.update(build_answer(UnreadableField(field="problem", message=f"Unknown {number}.")))
    assert len(caplog.records) == MAX_UNREADABLE_KINDS


def test_answer_with_unreadable_values_in_another_form_keeps_the_first_of_the_others_and_its_instructions() -> None:
    known = {"field": "problem", "message": "Unknown."}
    text = build_answer().model_dump(mode="json") | {"paused": True, "unreadable_list": [{"text": "x"}, *[known] * 100]}
    answer = HeartbeatResponse.model_validate_json(json.dumps(text))
    assert (answer.paused, len(answer.unreadable_list)) == (True, MAX_UNREADABLE_FIELDS - 1)
