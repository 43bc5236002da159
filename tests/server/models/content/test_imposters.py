import io
import tarfile
import time
import zipfile

import pytest

from modelyard.server.models.content import EXTENSIONS, examine
from modelyard.wire.problems import NotAModelFile
from tests.server.models.content.building import InMemory, Sparse, found_in, look, named_tensors

POINTER = b"""version https://git-lfs.github.com/spec/v1
oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393
size 6938078334
"""


def a_zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("model.safetensors", b"x" * 100)
    return buffer.getvalue()


def a_tar() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("model.safetensors"))
    return buffer.getvalue()


IMPOSTERS = {
    "empty file": b"",
    "html page": b"\n<!-- saved --><!DOCTYPE HTML><html><title>Sign in</title></html>",
    "git lfs pointer": POINTER,
    "xml document": b'<?xml version="1.0"?><Error><Code>NoSuchKey</Code></Error>',
    "json document": b'{"error": "Repository not found"}',
    "zip archive": a_zip(),
    "tar archive": a_tar(),
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


@pytest.mark.parametrize("found", IMPOSTERS)
def test_an_imposter_is_named_for_what_it_is(found: str) -> None:
    for name in ("m.safetensors", "m.gguf", "m.onnx", "m.zip", "m"):
        assert found_in(IMPOSTERS[found], name, "block") == found


@pytest.mark.parametrize("found", [kind for kind in IMPOSTERS if kind not in ("zip archive", "tar archive")])
def test_it_is_named_whatever_the_pickle_policy(found: str) -> None:
    assert found_in(IMPOSTERS[found], "m.ckpt", "block") == found


def test_a_pointer_says_which_file_it_points_to() -> None:
    with pytest.raises(NotAModelFile, match=r"sha256:4d7a2146.*6938078334 bytes"):
        look(POINTER)


def test_an_error_body_is_quoted_without_its_controls() -> None:
    with pytest.raises(NotAModelFile) as refused:
        look(b'{"detail": "no\x1b[31m\xe2\x80\xaeaccess"}')
    assert "no[31maccess" in refused.value.detail


@pytest.mark.parametrize(
    ("content", "name", "found"),
    [
        (named_tensors("a"), "model.ckpt", "safetensors file"),
        (named_tensors("a"), "model.gguf", "safetensors file"),
        (b"GGUF\3" + bytes(40), "model.safetensors", "gguf file"),
        (b"\x80\x02}q\x00.", "model.safetensors", "pickle file"),
        (b"\x80\x02}q\x00.", "model.onnx", "pickle file"),
    ],
)
def test_content_and_extension_must_agree(content: bytes, name: str, found: str) -> None:
    assert found_in(content, name) == found


@pytest.mark.parametrize("name", ["model.safetensors.part", "model.txt", "model", "model.json", "config.yaml"])
def test_a_model_under_another_extension_is_refused(name: str) -> None:
    assert found_in(named_tensors("a"), name) == "unknown extension"


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_noise_is_no_model_under_any_extension(extension: str) -> None:
    noise = bytes(range(255, 0, -1)) * 20
    assert found_in(noise, f"m{extension}") not in ("accepted", "")


def test_zeros_are_told_from_a_file_that_only_begins_with_them() -> None:
    assert found_in(bytes(50_000) + b"x" * 50_000) != "zeros"


def test_a_huge_file_of_zeros_costs_a_few_probes() -> None:
    reader = Sparse(b"", 2**40)
    with pytest.raises(NotAModelFile) as refused:
        examine(reader, "m.safetensors", "block")
    assert refused.value.facts["found"] == "zeros"
    assert reader.bytes_read < 100_000


@pytest.mark.parametrize("filling", [b"<!---->", b" ", b"<", b"{ ", b"[[", b"<!--"])
def test_a_head_made_to_eat_time_is_refused_at_once(filling: bytes) -> None:
    began = time.process_time()
    found_in(filling * 2000)
    assert time.process_time() - began < 0.2


def test_every_refusal_names_the_field() -> None:
    with pytest.raises(NotAModelFile) as refused:
        examine(InMemory(b""), "m.gguf", "block")
    assert refused.value.facts == {"field": "storage_key", "found": "empty file", "extension": ".gguf"}
