"""The table of ComfyUI-Manager's models in the documentation is what the registry's rules say of the installed list."""

from pathlib import PurePosixPath

import pytest

from tools.manager_models import PAGE, Entry, build_manager_page, count_policies, judge, read_entries


@pytest.fixture(scope="module")
def entries() -> list[Entry]:
    try:
        return read_entries()
    except FileNotFoundError as absent:
        pytest.fail(str(absent))


def test_table_of_the_list_is_up_to_date(entries: list[Entry]) -> None:
    assert PAGE.read_text(encoding="utf-8") == build_manager_page(entries), (
        "write it anew with `.venv/bin/python -m tools.manager_models`"
    )


def test_list_has_these_counts_of_policies(entries: list[Entry]) -> None:
    counts = count_policies([judge(entry) for entry in entries])
    assert counts == {"block": 364, "scan": 122, "trusted": 18, "folder": 3, "none": 2}


def test_refused_entries_are_archives_and_code_only(entries: list[Entry]) -> None:
    refused = {
        PurePosixPath(entry.file_name).suffix: judge(entry).reason for entry in entries if judge(entry).policy == "none"
    }
    assert refused == {".py": "code", ".zip": "archive: unpack it, and upload its model files"}
