"""The canonical manifest of a folder, and which files a folder may have."""

import pytest

from modelyard.wire.folders.manifest import (
    FolderFile,
    build_manifest,
    check_files,
    get_file_hash,
    parse_manifest,
)
from modelyard.wire.folders.names import MAX_FILES, FolderInvalid, build_parent_keys, find_file_kind

ONE = "a" * 64


def files(*paths: str) -> list[FolderFile]:
    return [FolderFile(path, ONE, 3) for path in paths]


def test_build_manifest_sorts_by_utf8_bytes_and_has_no_spaces() -> None:
    built = build_manifest([FolderFile("z.json", "b" * 64, 2), FolderFile("unet/é.json", ONE, 1)])

    text = f'{{"files":[{{"path":"unet/é.json","sha256":"{ONE}","size":1}},'
    text += f'{{"path":"z.json","sha256":"{"b" * 64}","size":2}}],"v":1}}'
    assert built == text.encode()
    assert get_file_hash(built).startswith("sha256:")


def test_parse_manifest_returns_what_build_manifest_got() -> None:
    listed = files("a.json", "b/c.safetensors")

    assert parse_manifest(build_manifest(listed)) == listed


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"[]", id="list"),
        pytest.param(b"\xff", id="no text"),
        pytest.param(b"{" * 100_000, id="deep"),
        pytest.param(b'{"files":[],"v":1}', id="empty"),
        pytest.param(b'{"files":{},"v":1}', id="files is an object"),
        pytest.param(build_manifest(files("a.json")).replace(b'"v":1', b'"v":2'), id="other version"),
        pytest.param(build_manifest(files("a.json")).replace(b",", b", "), id="spaces"),
        pytest.param(build_manifest(files("a.json")) + b"\n", id="newline at the end"),
        pytest.param(build_manifest(files("a.json")).replace(b":3", b":3.0"), id="size is a float"),
        pytest.param(build_manifest(files("a.json")).replace(b":3", b":0"), id="empty file"),
        pytest.param(build_manifest(files("a.json")).replace(b":3", b":true"), id="size is a boolean"),
        pytest.param(build_manifest(files("a.json")).replace(b"aa", b"AA"), id="hash in upper case"),
        pytest.param(build_manifest(files("a.json")).replace(b'"a.json"', b'"\\ud800.json"'), id="half a surrogate"),
        pytest.param(build_manifest(files("a.json")).replace(b'"size":3', b'"size":3,"mode":1'), id="another field"),
        pytest.param(b'{"files":[%s],"v":1}' % (b'{"path":"b","sha256":"","size":1}'), id="no hash"),
    ],
)
def test_parse_manifest_not_canonical_is_refused(content: bytes) -> None:
    with pytest.raises(FolderInvalid):
        parse_manifest(content)


def test_parse_manifest_unsorted_is_refused() -> None:
    built = build_manifest(files("a.json", "b.json"))

    with pytest.raises(FolderInvalid, match="not canonical"):
        parse_manifest(built.replace(b"a.json", b"c.json"))


def test_check_files_diffusers_layout_is_allowed() -> None:
    paths = ["model_index.json", "unet/config.json", "unet/model.safetensors", "tokenizer/merges.txt", "LICENSE"]

    check_files("diffusers", "diffusers/sdxl", files(*paths))


@pytest.mark.parametrize(
    ("paths", "reason"),
    [
        pytest.param(["model.py"], "is code", id="python"),
        pytest.param(["bin/run.SH"], "is code", id="shell script"),
        pytest.param(["a.exe"], "is code", id="program"),
        pytest.param(["a.zip"], "may not contain", id="archive"),
        pytest.param(["a"], "may not contain", id="no extension"),
        pytest.param(["a.yaml"], "may not contain", id="YAML"),
        pytest.param(["../a.json"], "path may contain", id="traversal"),
        pytest.param(["/a.json"], "empty", id="absolute"),
        pytest.param(["b\\a.json"], "path may contain", id="backslash"),
        pytest.param(["./a.json"], "empty", id="dot"),
        pytest.param([".cache/a.json"], "begins or ends", id="hidden folder"),
        pytest.param(["aux/a.json"], "device name", id="device"),
        pytest.param(["e\u0301.json"], "path may contain", id="not NFC"),
        pytest.param(["a/b/c/d/e/f/g.json"], "segments", id="too deep"),
        pytest.param(["a.json", "A.json"], "one file", id="case"),
        pytest.param(["a.json", "a.json"], "one file", id="twice"),
        pytest.param(["unet/a.json", "Unet/b.json"], "one folder", id="case of a folder"),
        pytest.param(["a.json", "a.json/b.json"], "both a file and a folder", id="file and folder"),
        pytest.param([], "1 to 20000", id="none"),
        pytest.param(["x" * 120 + ".json"], "bytes", id="long name"),
    ],
)
def test_check_files_not_allowed_is_refused(paths: list[str], reason: str) -> None:
    with pytest.raises(FolderInvalid, match=reason):
        check_files("diffusers", "diffusers/sdxl", files(*paths))


def test_check_files_too_many_is_refused() -> None:
    with pytest.raises(FolderInvalid, match="20001"):
        check_files("diffusers", "diffusers/sdxl", files(*(f"{number}.json" for number in range(MAX_FILES + 1))))


def test_check_files_as_many_as_allowed_is_accepted() -> None:
    check_files("LLM", "LLM/large", files(*(f"{number // 100}/{number}.json" for number in range(MAX_FILES))))


def test_check_files_folder_named_like_a_model_file_is_refused() -> None:
    with pytest.raises(FolderInvalid, match="extension"):
        check_files("loras", "loras/ink.safetensors", files("a.json"))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("unet/model.SAFETENSORS", "safetensors"),
        ("pytorch_model.bin", "pickle"),
        ("model.safetensors.index.json", "json"),
        ("tokenizer.model", "data"),
        ("LICENSE", "data"),
        (".json", None),
        ("setup.py", None),
    ],
)
def test_find_file_kind(name: str, kind: str | None) -> None:
    assert find_file_kind(name) == kind


def test_build_parent_keys_begins_below_the_type() -> None:
    assert build_parent_keys("llm/a/b/c.json") == ["llm/a", "llm/a/b"]
    assert build_parent_keys("loras/ink.safetensors") == []
