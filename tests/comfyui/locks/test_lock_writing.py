"""Writing lock files: the same models give the same bytes, and other sections stay."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelyard.comfyui.locks.locked_models import LockedModel, LockInvalid, parse_locked_path
from modelyard.comfyui.locks.reading import read_lock
from modelyard.comfyui.locks.writing import write_lock

DIGITS = "1234567890" * 6 + "1234"


def build_model(path: str = "loras/ink.sft", digest: str = "e" * 64, url: str | None = None) -> LockedModel:
    return LockedModel(parse_locked_path(path), digest, url)


INK, BASE = build_model(), build_model("checkpoints/sd xl/base.ckpt", DIGITS, "https://models.example/é#1: x")


def test_write_lock_in_any_order_gives_the_same_bytes() -> None:
    assert write_lock([INK, BASE]) == write_lock([BASE, INK, INK])


def test_written_lock_reads_as_the_same_models() -> None:
    assert read_lock(write_lock([INK, BASE])) == (BASE, INK)


def test_write_lock_without_models_is_a_lock() -> None:
    assert read_lock(write_lock([])) == ()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("# ours\na: 1\n", ""),
        ("a: 1", ""),
        ("", "\n# nodes\ncustom_nodes:\n  x: y  # why\n"),
        ("---\na: é\n", "\n\nz: |\n  # text\n  text\n"),
        ("a: &a 1\n", "z: *a\n"),
    ],
)
def test_write_lock_keeps_other_sections_byte_for_byte(before: str, after: str) -> None:
    existing = f"{before}\nmodels:\n  # old\n  - model: x\n    paths:\n      - path: models/vae/x.sft\n{after}"
    written = write_lock([INK], existing.encode()).decode()
    assert written.startswith(f"{before}\nmodels:\n  - model: ink.sft\n")
    assert written.endswith(f"    type: loras\n{after}")
    assert write_lock([INK], written.encode()).decode() == written


def test_write_lock_without_section_adds_it_at_the_end() -> None:
    assert write_lock([], b"a: 1  # x") == b"a: 1  # x\nmodels: []\n"


@pytest.mark.parametrize(
    ("existing", "before", "after"),
    [
        ("a: 1\n...\n", "a: 1\n", "...\n"),
        ("a: 1\n# z\n...  # end\n", "a: 1\n# z\n", "...  # end\n"),
        ("a: 1\nmodels: []\n# z\n...\n", "a: 1\n", "# z\n...\n"),
    ],
)
def test_write_lock_with_document_end_writes_before_it(existing: str, before: str, after: str) -> None:
    section = write_lock([INK]).decode()
    assert write_lock([INK], existing.encode()).decode() == before + section + after


def test_write_lock_keeps_byte_order_mark() -> None:
    written = write_lock([INK], b"\xef\xbb\xbfa: 1\nmodels: []\n")
    assert written == b"\xef\xbb\xbfa: 1\n" + write_lock([INK])


@pytest.mark.parametrize("comments", ["", "# ours\n", "\n  # ours\nz: 1\n", "\n\n# ours\nz: 1\n"])
@pytest.mark.parametrize(
    "last",
    [
        "|\n      text\n      # text\n",
        "|+\n      text\n      # text\n\n\n",
        "'text\n      # text'\n",
        "|\n      # text\n",
        "|-\n      # text\n      ...\n",
        "|+\n      # text\n\n",
    ],
)
def test_write_lock_with_hash_lines_in_last_text_writes_them_once(last: str, comments: str) -> None:
    hashes = f"[{{hash: {'e' * 64}, type: SHA256}}]"
    entry = f"models:\n  - paths: [{{path: loras/ink.sft}}]\n    hashes: {hashes}\n    note: {last}"
    existing = (entry + comments).encode()
    written = write_lock([INK], existing)
    assert written.count(b"# text") == 1
    assert write_lock([INK], written) == written
    # A text with "|+" has the blank lines that follow.
    after = comments.lstrip("\n") if "+" in last else comments
    assert write_lock([BASE], existing) == write_lock([BASE]) + after.encode()


def test_write_lock_keeps_windows_line_ends() -> None:
    written = write_lock([INK], b"a: 1\r\nmodels: []\r\nb: 2\r\n")
    assert written.count(b"\n") == written.count(b"\r\n")


def test_write_lock_keeps_the_values_of_entries_with_the_same_files() -> None:
    entry = """\
  - model: Ink, our own  # by Ada
    size: 0123
    paths: [{path: loras/ink.sft}, {path: 'models/loras/a b.sft'}]
    hashes:
      - {hash: EEEE, type: SHA256}
    type: lora
""".replace("EEEE", "E" * 64)
    existing = f"models:\n{entry}".encode()
    both = [INK, build_model("loras/a b.sft"), BASE]
    written = write_lock(both, existing)
    assert written.endswith(entry.replace("  # by Ada", "").encode())
    assert read_lock(written) == tuple(sorted(both, key=lambda model: model.path.relative))
    assert b"our own" not in write_lock([INK], existing)
    assert b"our own" not in write_lock([build_model(digest="d" * 64)], existing)


def test_write_lock_adds_an_address_to_an_entry_without_one_only() -> None:
    existing = write_lock([build_model(url="https://models.example/1")])
    assert write_lock([INK], existing) == existing
    assert write_lock([build_model(url="https://models.example/2")], existing) == existing
    assert b"models.example/2" in write_lock([build_model(url="https://models.example/2")], write_lock([INK]))


def test_write_lock_expands_an_anchor_of_another_section() -> None:
    existing = b"a: &a https://models.example/1\n" + write_lock([build_model(url="URL")]).replace(b"URL", b"*a")
    written = write_lock([INK], existing)
    assert b"url: https://models.example/1\n" in written


@pytest.mark.parametrize(
    "existing",
    [
        b"- 1",
        b"text",
        b"{models: []}",
        b'{"models": []}',
        b"schema: comfy-build/1\n",
        b"models: &m []\nother: *m\n",
        b"a: 1\n...\nb: 2\n",
        b"? models\n: []\n",
        b"? [a]\n: 1\n",
        b"a: [1",
        b"\xff",
    ],
)
def test_write_lock_into_another_document_is_refused(existing: bytes) -> None:
    with pytest.raises(LockInvalid):
        write_lock([INK], existing)


_texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=60)


@given(_texts, _texts)
def test_write_lock_into_any_text_is_refused_or_keeps_the_rest(before: str, after: str) -> None:
    existing = f"{before}\nmodels: []\n{after}".encode()
    try:
        written = write_lock([INK], existing)
    except LockInvalid:
        return
    assert read_lock(written) == (INK,)
    assert write_lock([INK], written) == written
