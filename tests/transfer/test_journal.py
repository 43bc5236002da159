from pathlib import Path

import pytest

from modelyard.transfer.journal import Journal, Kept
from modelyard.transfer.spans import Spans


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    journal = Journal(tmp_path / "x.journal", 1000, "a" * 64)
    journal.begin()
    return journal


def _spans(journal: Journal) -> list[tuple[int, int]]:
    return list(journal.read().spans)


def test_the_last_line_counts(journal: Journal) -> None:
    journal.append(Kept(Spans([(0, 10)]), None))
    journal.append(Kept(Spans([(0, 100), (500, 600)]), '"tag"'))

    assert _spans(journal) == [(0, 100), (500, 600)]
    assert journal.read().etag == '"tag"'


def test_without_a_journal_nothing_is_kept(tmp_path: Path) -> None:
    assert _spans(Journal(tmp_path / "absent", 1000, "a" * 64)) == []


def test_a_journal_of_other_bytes_keeps_nothing(journal: Journal) -> None:
    journal.append(Kept(Spans([(0, 10)]), None))

    assert _spans(Journal(journal.path, 1000, "b" * 64)) == []
    assert _spans(Journal(journal.path, 1001, "a" * 64)) == []


@pytest.mark.parametrize("cut", range(1, 30))
def test_a_torn_line_leaves_the_one_before_it(journal: Journal, cut: int) -> None:
    journal.append(Kept(Spans([(0, 10)]), None))
    journal.append(Kept(Spans([(0, 999)]), None))
    content = journal.path.read_bytes()
    journal.path.write_bytes(content[:-cut])

    assert _spans(journal) == [(0, 10)]


@pytest.mark.parametrize(
    "line",
    [
        b"\x00" * 100,
        b"{}",
        b"[" * 5000,
        b'{"etag": null, "spans": [[0, 1001]]}',
        b'{"etag": null, "spans": [[-1, 10]]}',
        b'{"etag": null, "spans": [[10, 5]]}',
        b'{"etag": null, "spans": [["0", "10"]]}',
        b'{"etag": 5, "spans": [[0, 10]]}',
        b'{"etag": null, "spans": [[0]]}',
        b'{"etag": null, "spans": 7}',
    ],
)
def test_a_line_of_nonsense_is_passed_over(journal: Journal, line: bytes) -> None:
    journal.append(Kept(Spans([(0, 10)]), None))
    with journal.path.open("ab") as file:
        file.write(line + b"\n")

    assert _spans(journal) == [(0, 10)]


def test_a_journal_that_begins_anew_keeps_nothing(journal: Journal) -> None:
    journal.append(Kept(Spans([(0, 10)]), None))

    journal.begin()

    assert _spans(journal) == []
