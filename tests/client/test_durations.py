import pytest

from modelyard.client.durations import parse_duration


@pytest.mark.parametrize(("text", "seconds"), [("300", 300), ("90s", 90), ("5m", 300), ("1.5 H", 5400)])
def test_parse_duration_with_or_without_unit_returns_seconds(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "0", "0m", "-5s", "5 days"])
def test_parse_duration_invalid_or_zero_raises_value_error(text: str) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        parse_duration(text)
