"""``make demo`` goes on when both machines have what they should."""

import pytest

from tools.demo import are_up_to_date


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ({}, False),
        ({"render-01": "up_to_date"}, False),
        ({"render-01": "up_to_date", "render-02": "syncing"}, False),
        ({"render-01": "up_to_date", "render-02": "up_to_date"}, True),
    ],
    ids=["none", "one", "one-syncs", "both"],
)
def test_machines_are_up_to_date_only_if_both_are_listed_so(states: dict[str, str], *, expected: bool) -> None:
    listed = {"agent_list": [{"agent_id": name, "machine_state": state} for name, state in states.items()]}
    assert are_up_to_date(listed) is expected
