"""Checks of files before they are sent: what the registry accepts passes, and any other content gives a reason."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from modelyard.client.transfers.local_checks import check_file, check_folder
from modelyard.server.inspection.folder_files import inspect_folder_file
from modelyard.wire.problems import NotAModelFile
from tests.server.inspection import test_gguf, test_onnx, test_pickles, test_safetensors, test_unexpected_files
from tests.server.inspection.builders import MemoryReader, build_named_tensors, inspect_content, safetensors
from tests.server.inspection.header_shapes import HEADER_SHAPES

CHANGED_HEADERS = 2_000
NUMBERS = ["1e999", "-1e999", "NaN", "-Infinity", "-1", "-0", "1.5", "true", "null", '"8"', "{}", "[[8]]", "9" * 5_000]
SAFETENSORS = {name: content for name, (content, _) in test_safetensors.CASES.items()}
LEFT_TO_THE_REGISTRY = {
    "safetensors": SAFETENSORS["unknown dtype"],
    "gguf": test_gguf.CASES["unknown type"][0],
    "gguf of a version": test_gguf.CASES["version 4"][0],
}
OTHER_FORMATS = {
    f"{kind}: {name}": (content, f"model.{kind}")
    for kind, cases in {"gguf": test_gguf.CASES, "onnx": test_onnx.CASES}.items()
    for name, (content, outcome) in cases.items()
    if outcome not in ("unknown tensor type", "unknown gguf version")
} | {f"pickle: {name}": (content, "model.ckpt") for name, content in test_pickles.CLEAN_FILES.items()}
ZIPS = {name: content for name, content in test_pickles.CLEAN_FILES.items() if content.startswith(b"PK")}


def build_entry(number: str) -> bytes:
    return b'{"dtype":"U8","shape":[8],"data_offsets":[0,%s]}' % number.encode()


HOSTILE_HEADERS = {f"offset {number[:9]}": b'{"t":' + build_entry(number) + b"}" for number in NUMBERS} | {
    "5,000 lists": b'{"t":{"data_offsets":' + b"[" * 5_000 + b"]" * 5_000 + b"}}",
    "5,000 objects": b'{"t":' * 5_000 + b"1" + b"}" * 5_000,
    "a tensor twice": b'{"t":' + build_entry("8") + b',"t":' + build_entry("8") + b"}",
    "half a surrogate pair": b'{"\\ud800":' + build_entry("8") + b"}",
    "no object": b"{" + build_entry("8") + b"}",
    "an entry that is text": b'{"t":"data_offsets"}',
    "no offsets": b'{"t":{}}',
}


def find_detail(check: Callable[..., object], *arguments: object) -> str | None:
    """Return the detail of the refusal of a check with these arguments; None if it passes."""
    try:
        check(*arguments)
    except NotAModelFile as refused:
        return refused.detail
    return None


def check_content(folder: Path, content: bytes, name: str = "model.safetensors") -> None:
    (folder / name).write_bytes(content)
    check_file(folder / name, f"models/loras/{name}", "scan")


@pytest.mark.parametrize("case", HOSTILE_HEADERS)
def test_check_file_hostile_header_is_refused(tmp_path: Path, case: str) -> None:
    with pytest.raises(NotAModelFile):
        check_content(tmp_path, safetensors(HOSTILE_HEADERS[case], bytes(8)))


def test_check_file_randomly_changed_header_has_the_outcome_of_the_registry(tmp_path: Path) -> None:
    rng = random.Random(2024)
    whole = build_named_tensors("a.weight", "b.weight", metadata={"format": "pt"})
    header, tensors = whole[8:-4], whole[-4:]
    pieces = [number.encode() for number in NUMBERS] + [b"[", b"]", b"{", b"}", b",", b":", b'"', b"\\ud800", b"\xff"]
    refused = 0
    for _ in range(CHANGED_HEADERS):
        changed = bytearray(header)
        for _ in range(rng.randint(1, 3)):
            start = rng.randrange(1, len(changed))
            changed[start : start + rng.randrange(4)] = rng.choice([*pieces, rng.randbytes(1)])
        content = safetensors(bytes(changed), tensors)
        expected = find_detail(inspect_content, content)
        if "dtype that this registry does not read" not in (expected or ""):
            assert find_detail(check_content, tmp_path, content) == expected
        refused += expected is not None
    assert 0 < refused < CHANGED_HEADERS


@pytest.mark.parametrize("case", [name for name in SAFETENSORS if name != "unknown dtype"])
def test_check_file_safetensors_has_the_outcome_of_the_registry(tmp_path: Path, case: str) -> None:
    content = SAFETENSORS[case]
    assert find_detail(check_content, tmp_path, content) == find_detail(inspect_content, content)


@pytest.mark.parametrize("case", LEFT_TO_THE_REGISTRY)
def test_check_file_that_a_newer_registry_may_read_is_left_to_the_registry(tmp_path: Path, case: str) -> None:
    check_content(tmp_path, LEFT_TO_THE_REGISTRY[case], f"model.{case.partition(' ')[0]}")


@pytest.mark.parametrize("case", OTHER_FORMATS)
def test_check_file_of_other_format_has_the_outcome_of_the_registry(tmp_path: Path, case: str) -> None:
    content, name = OTHER_FORMATS[case]
    assert find_detail(check_content, tmp_path, content, name) == find_detail(inspect_content, content, name)


@pytest.mark.parametrize("case", ZIPS)
def test_check_file_truncated_zip_is_refused_unless_the_team_trusts_files(tmp_path: Path, case: str) -> None:
    for length in (4, len(ZIPS[case]) // 2, len(ZIPS[case]) - 1):
        (tmp_path / "model.ckpt").write_bytes(ZIPS[case][:length])
        for policy in ("scan", "convert", None):
            with pytest.raises(NotAModelFile, match="it is truncated"):
                check_file(tmp_path / "model.ckpt", "models/checkpoints/model.ckpt", policy)
        check_file(tmp_path / "model.ckpt", "models/checkpoints/model.ckpt", "trusted")


@pytest.mark.parametrize("name", HEADER_SHAPES)
def test_check_file_of_real_shape_passes(tmp_path: Path, name: str) -> None:
    shape = HEADER_SHAPES[name]()
    with (tmp_path / name).open("wb") as stream:
        stream.write(shape.head)
        stream.truncate(shape.size)
    check_file(tmp_path / name, f"models/loras/{name}", "block")


@pytest.mark.parametrize("kind", test_unexpected_files.UNEXPECTED_FILES)
@pytest.mark.parametrize("name", ["m.safetensors", "m.gguf", "m.onnx", "m.ckpt"])
def test_check_file_of_another_kind_is_refused_as_by_the_registry(tmp_path: Path, name: str, kind: str) -> None:
    content = test_unexpected_files.UNEXPECTED_FILES[kind]
    expected = find_detail(inspect_content, content, name)
    # Archives with the name of a pickle are one, which only the registry scans.
    if not (name == "m.ckpt" and "archive" in kind):
        assert expected is not None
        assert find_detail(check_content, tmp_path, content, name) == expected


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("unet/model.safetensors", SAFETENSORS["truncated"]),
        ("README.md", b"<!DOCTYPE html><html>Sign in</html>"),
        ("README.md", b"#!/usr/bin/env python"),
        ("vocab", b"\x7fELF" + bytes(60)),
        ("merges.txt", b"MZ a text"),
        ("config.json", b'{"auto_map": {"AutoModel": "model.Model"}}'),
        ("model_index.json", b'{"unet": ["own_unet", "Unet"]}'),
        ("config.json", b"{"),
        ("config.json", b'{"a": 1e999}'),
    ],
    ids=[
        "truncated weights",
        "page",
        "script",
        "program",
        "text like a program",
        "request for code",
        "component of its own",
        "broken json",
        "infinite number",
    ],
)
def test_check_folder_has_the_outcome_of_the_registry_with_the_path(tmp_path: Path, path: str, content: bytes) -> None:
    (tmp_path / "file").write_bytes(content)
    expected = find_detail(inspect_folder_file, MemoryReader(content), path, "scan")
    found = find_detail(check_folder, {path: tmp_path / "file"}, "scan")
    assert (found or "").removeprefix(f"'{path}': ") == (expected or "").removeprefix(f"'{path}': ")


def test_check_folder_with_pickle_is_refused_unless_the_team_scans_them(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(test_pickles.CLEAN_FILES["torch zip"])
    files = {"unet/model.ckpt": tmp_path / "file"}
    for policy in ("block", "convert"):
        with pytest.raises(NotAModelFile, match=r"^'unet/model\.ckpt': This is a pickle file"):
            check_folder(files, policy)
    check_folder(files, "scan")
    check_folder(files, "trusted")
    check_folder(files, None)


def test_check_folder_that_lacks_a_part_names_it(tmp_path: Path) -> None:
    (tmp_path / "index").write_text('{"weight_map": {"a": "m-1.safetensors", "b": "m-2.safetensors"}}')
    (tmp_path / "weights").write_bytes(build_named_tensors("a"))
    files = {"unet/m.safetensors.index.json": tmp_path / "index", "unet/m-1.safetensors": tmp_path / "weights"}
    with pytest.raises(NotAModelFile, match="lacks parts of its weights") as refused:
        check_folder(files, None)
    assert refused.value.facts["missing"] == ["unet/m-2.safetensors"]
    check_folder(files | {"unet/m-2.safetensors": tmp_path / "weights"}, None)


def test_check_file_part_of_a_gguf_without_the_others_names_them(tmp_path: Path) -> None:
    parts = [tmp_path / f"m-0000{number}-of-00003.gguf" for number in (1, 2, 3)]
    for part in parts[:2]:
        part.write_bytes(test_gguf.build_gguf(test_gguf.TENSOR))
    with pytest.raises(NotAModelFile, match="one of several parts") as refused:
        check_file(parts[0], "models/LLM/m.gguf", None)
    assert refused.value.facts["missing"] == ["m-00003-of-00003.gguf"]
    parts[2].write_bytes(test_gguf.build_gguf(test_gguf.TENSOR))
    check_file(parts[0], "models/LLM/m.gguf", None)
