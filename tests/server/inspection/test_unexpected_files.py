"""Files uploaded by mistake: recognised and named in the refusal."""

import io
import tarfile
import zipfile

import pytest

from modelyard.comfyui.model_files import unexpected_files
from modelyard.server.inspection.inspector import inspect_file
from modelyard.wire.formats import EXTENSIONS
from modelyard.wire.problems import NotAModelFile
from tests.server.inspection.builders import (
    MemoryReader,
    SparseReader,
    build_named_tensors,
    get_outcome,
    inspect_content,
)

LFS_POINTER = b"""version https://git-lfs.github.com/spec/v1
oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393
size 6938078334
"""


def build_zip_file() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("model.safetensors", b"x" * 100)
    return buffer.getvalue()


def build_tar() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("model.safetensors"))
    return buffer.getvalue()


UNEXPECTED_FILES = {
    "empty file": b"",
    "html page": b"\n<!-- saved --><!DOCTYPE HTML><html><title>Sign in</title></html>",
    "git lfs pointer": LFS_POINTER,
    "xml document": b'<?xml version="1.0"?><Error><Code>NoSuchKey</Code></Error>',
    "json document": b'{"error": "Repository not found"}',
    "zip archive": build_zip_file(),
    "tar archive": build_tar(),
    "7z archive": b"7z\xbc\xaf\x27\x1c" + bytes(40),
    "rar archive": b"Rar!\x1a\x07\x01\x00" + bytes(40),
    "gzip file": b"\x1f\x8b\x08" + b"z" * 40,
    "png picture": b"\x89PNG\r\n\x1a\n" + bytes(40),
    "jpeg picture": b"\xff\xd8\xff\xe0" + bytes(40),
    "webp picture": b"RIFF\x10\0\0\0WEBPVP8 " + bytes(40),
    "gif picture": b"GIF89a" + bytes(40),
    "mp4 or avif media file": b"\0\0\0\x20ftypisom" + bytes(40),
    "pdf document": b"%PDF-1.7\n" + bytes(40),
    "linux program": b"\x7fELF" + bytes(40),
    "zeros": bytes(100_000),
}


@pytest.mark.parametrize("expected", UNEXPECTED_FILES)
def test_inspect_unexpected_file_names_its_kind(expected: str) -> None:
    for name in ("m.safetensors", "m.gguf", "m.onnx", "m.zip", "m"):
        assert get_outcome(UNEXPECTED_FILES[expected], name, "block") == expected


@pytest.mark.parametrize("expected", [kind for kind in UNEXPECTED_FILES if kind not in ("zip archive", "tar archive")])
def test_inspect_unexpected_file_with_pickle_extension_names_its_kind_under_block_policy(expected: str) -> None:
    assert get_outcome(UNEXPECTED_FILES[expected], "m.ckpt", "block") == expected


def test_inspect_lfs_pointer_states_oid_and_size() -> None:
    with pytest.raises(NotAModelFile, match=r"sha256:4d7a2146.*6938078334 bytes"):
        inspect_content(LFS_POINTER)


def test_inspect_json_error_quotes_its_message_without_controls() -> None:
    with pytest.raises(NotAModelFile) as refused:
        inspect_content(b'{"detail": "no\x1b[31m\xe2\x80\xaeaccess"}')
    assert "no[31maccess" in refused.value.detail


@pytest.mark.parametrize(
    ("content", "name", "expected"),
    [
        (build_named_tensors("a"), "model.ckpt", "safetensors file"),
        (build_named_tensors("a"), "model.gguf", "safetensors file"),
        (b"GGUF\3" + bytes(40), "model.safetensors", "gguf file"),
        (b"\x80\x02}q\x00.", "model.safetensors", "pickle file"),
        (b"\x80\x02}q\x00.", "model.onnx", "pickle file"),
    ],
)
def test_inspect_file_with_extension_of_another_format_is_refused(content: bytes, name: str, expected: str) -> None:
    assert get_outcome(content, name) == expected


@pytest.mark.parametrize("name", ["model.safetensors.part", "model.txt", "model", "model.json", "config.yaml"])
def test_inspect_model_with_unknown_extension_is_refused(name: str) -> None:
    assert get_outcome(build_named_tensors("a"), name) == "unknown extension"


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_inspect_noise_is_refused_with_every_extension(extension: str) -> None:
    noise = bytes(range(255, 0, -1)) * 20
    assert get_outcome(noise, f"m{extension}") not in ("accepted", "")


def test_inspect_file_that_starts_with_zeros_is_not_called_zeros() -> None:
    assert get_outcome(bytes(50_000) + b"x" * 50_000) != "zeros"


def test_inspect_1_tib_of_zeros_reads_less_than_100_kb() -> None:
    reader = SparseReader(b"", 2**40)
    with pytest.raises(NotAModelFile) as refused:
        inspect_file(reader, "m.safetensors", "block")
    assert refused.value.facts["found"] == "zeros"
    assert reader.bytes_read < 100_000


@pytest.mark.parametrize("filling", [b"<!---->", b" ", b"<", b"{ ", b"[[", b"<!--"])
def test_inspect_head_that_slows_regular_expressions_ends(filling: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """The head is a thousand times longer than in the product: a quadratic expression would take hours."""
    monkeypatch.setattr(unexpected_files, "HEAD", 1000 * unexpected_files.HEAD)
    content = filling * (unexpected_files.HEAD // len(filling))
    assert get_outcome(content) not in ("accepted", "")


def test_inspect_empty_file_refusal_has_field_and_extension() -> None:
    with pytest.raises(NotAModelFile) as refused:
        inspect_file(MemoryReader(b""), "m.gguf", "block")
    assert refused.value.facts == {"field": "storage_key", "found": "empty file", "extension": ".gguf"}
