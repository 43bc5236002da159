"""Where `make dist` writes."""

from pathlib import Path

import pytest

from tools.dist import clear_output


def test_clear_output_removes_the_files_of_an_earlier_build(tmp_path: Path) -> None:
    for name in ("modelyard-0.3.0.tar.gz", "modelyard-0.3.0-py3-none-any.whl", "SHA256SUMS"):
        (tmp_path / name).write_text("old")
    clear_output(tmp_path)
    assert [*tmp_path.iterdir()] == []


def test_clear_output_creates_a_missing_folder(tmp_path: Path) -> None:
    clear_output(tmp_path / "new" / "dist")
    assert (tmp_path / "new" / "dist").is_dir()


@pytest.mark.parametrize("name", ["notes.txt", "modelyard-source/main.py"])
def test_clear_output_refuses_a_folder_with_anything_else(tmp_path: Path, name: str) -> None:
    built = tmp_path / "SHA256SUMS"
    built.write_text("old")
    other = tmp_path / name
    other.parent.mkdir(exist_ok=True)
    other.write_text("mine")
    with pytest.raises(SystemExit, match=name.split("/", maxsplit=1)[0]):
        clear_output(tmp_path)
    assert (built.read_text(), other.read_text()) == ("old", "mine")
