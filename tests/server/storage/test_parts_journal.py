"""The journal of an upload's parts, after it was truncated or damaged."""

import re
from pathlib import Path

from modelyard.server.storage.blob_store import StoredPart
from modelyard.server.storage.local.parts_journal import JOURNAL, PartsJournal


def journal_with(path: Path, *numbers: int) -> PartsJournal:
    path.write_bytes(b"")
    journal = PartsJournal(path)
    journal.load()
    for number in numbers:
        journal.add_part(StoredPart(number, f"etag{number}", 10))
    return journal


def test_load_journal_truncated_at_any_byte_lists_whole_lines(tmp_path: Path) -> None:
    journal = journal_with(tmp_path / JOURNAL, 1, 2)
    journal.remove_part(1)
    content = (tmp_path / JOURNAL).read_bytes()
    ends = [0, *(match.end() for match in re.finditer(rb"\n", content))]
    expected = [set[int](), {1}, {1, 2}, {2}]
    for length in range(len(content) + 1):
        (tmp_path / "torn").write_bytes(content[:length])
        listed = PartsJournal(tmp_path / "torn").load().keys()
        assert listed == expected[max(n for n, end in enumerate(ends) if end <= length)]


def test_append_after_load_of_truncated_journal_succeeds(tmp_path: Path) -> None:
    journal_with(tmp_path / JOURNAL, 1, 2)
    torn = (tmp_path / JOURNAL).read_bytes()[:-3] + bytes(200)
    (tmp_path / JOURNAL).write_bytes(torn)
    journal = PartsJournal(tmp_path / JOURNAL)
    journal.load()
    journal.add_part(StoredPart(3, "etag3", 10))
    assert PartsJournal(tmp_path / JOURNAL).load().keys() == {1, 3}


def test_load_journal_damaged_in_middle_lists_nothing(tmp_path: Path) -> None:
    journal_with(tmp_path / JOURNAL, 1, 2)
    content = bytearray((tmp_path / JOURNAL).read_bytes())
    content[12] ^= 1
    (tmp_path / JOURNAL).write_bytes(content)
    assert PartsJournal(tmp_path / JOURNAL).load() == {}
