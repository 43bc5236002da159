import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelyard.transfer.part_plan import Part, plan_parts


@given(st.integers(0, 10_000), st.integers(1, 300))
def test_plan_parts_cover_file_once_and_only_the_last_is_short(size: int, part_size: int) -> None:
    parts = plan_parts(size, part_size)

    assert [part.number for part in parts] == list(range(1, len(parts) + 1))
    assert [byte for part in parts for byte in range(part.offset, part.offset + part.size)] == list(range(size))
    assert all(part.size == part_size for part in parts[:-1])


def test_plan_parts_empty_file_returns_no_parts() -> None:
    assert plan_parts(0, 100) == []


def test_plan_parts_multiple_of_part_size_returns_no_empty_part() -> None:
    assert plan_parts(200, 100) == [Part(1, 0, 100), Part(2, 100, 100)]


def test_plan_parts_part_size_zero_raises_value_error() -> None:
    with pytest.raises(ValueError):
        plan_parts(100, 0)
