import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelyard.transfer.parts import Part, cut


@given(st.integers(0, 10_000), st.integers(1, 300))
def test_parts_cover_a_file_once_and_only_the_last_is_short(size: int, part_size: int) -> None:
    parts = cut(size, part_size)

    assert [part.number for part in parts] == list(range(1, len(parts) + 1))
    assert [byte for part in parts for byte in range(part.offset, part.offset + part.size)] == list(range(size))
    assert all(part.size == part_size for part in parts[:-1])


def test_an_empty_file_has_no_parts() -> None:
    assert cut(0, 100) == []


def test_a_file_of_exactly_two_parts_has_no_third() -> None:
    assert cut(200, 100) == [Part(1, 0, 100), Part(2, 100, 100)]


def test_a_part_of_no_bytes_is_refused() -> None:
    with pytest.raises(ValueError):
        cut(100, 0)
