"""Reading lock files: both formats, and documents of untrusted origin."""

import json

import pytest

from modelyard.comfyui.locks.documents import MAX_ALIASES, MAX_DEPTH
from modelyard.comfyui.locks.locked_models import MAX_LOCK_BYTES, MAX_LOCKED_MODELS, LockInvalid
from modelyard.comfyui.locks.reading import read_lock

DIGITS = "1234567890" * 6 + "1234"
OTHER = "e" * 64

COMFY_LOCK = f"""\
custom_nodes:
  git_custom_nodes: {{}}
auth:
  example.com: ${{TOKEN}}
models:
  - model: SDXL
    url: https://models.example/sdxl
    paths:
      - path: models/checkpoints/sd xl/base.safetensors
      - path: models/unet/base.safetensors
    hashes:
      - hash: 0A1B2C3D
        type: CRC32
      - hash: {DIGITS}
        type: SHA256
    type: checkpoint
  - model: no hash
    paths: [{{path: models/vae/fine.sft}}]
"""


def write_models(*models: dict[str, object]) -> bytes:
    return json.dumps({"models": models}).encode()


def write_model(path: str = "models/loras/ink.sft", digest: object = OTHER, **other: object) -> dict[str, object]:
    return {"model": "m", "paths": [{"path": path}], "hashes": [{"hash": digest, "type": "SHA256"}]} | other


def test_read_comfy_lock_returns_each_path_with_its_hash_and_address() -> None:
    assert [(model.path.relative, model.sha256, model.url) for model in read_lock(COMFY_LOCK.encode())] == [
        ("checkpoints/sd xl/base.safetensors", DIGITS, "https://models.example/sdxl"),
        ("unet/base.safetensors", DIGITS, "https://models.example/sdxl"),
        ("vae/fine.sft", None, None),
    ]


def test_read_comfy_build_returns_its_models() -> None:
    document = f"""\
schema: comfy-build/1
id: null
definition:
  models:
    - {{type: loras, filename: ink.safetensors, sha256: {OTHER.upper()}, blobId: b}}
    - {{type: vae, sourceUri: "https://models.example/fine%20one.sft?download=true"}}
  customNodes: []
"""
    assert [(model.path.relative, model.sha256) for model in read_lock(document.encode())] == [
        ("loras/ink.safetensors", OTHER),
        ("vae/fine one.sft", None),
    ]


def test_read_lock_with_byte_order_mark_and_windows_line_ends_returns_the_same_models() -> None:
    document = b"\xef\xbb\xbf" + COMFY_LOCK.replace("\n", "\r\n").encode()
    assert read_lock(document) == read_lock(COMFY_LOCK.encode())


def test_read_equal_entries_count_once() -> None:
    assert len(read_lock(write_models(write_model(), write_model("loras/ink.sft")))) == 1


@pytest.mark.parametrize(
    "path",
    [
        "../x.sft",
        "models/../x.sft",
        "models/loras/../../x.sft",
        "/etc/passwd.sft",
        "loras\\ink.sft",
        "C:/loras/x.sft",
        "loras/con.sft",
        "loras/x.sft\n",
        "custom_nodes/x/y.sft",
        "models/x.sft",
        "loras//x.sft",
        "loras/\x00.sft",
        "~/x.sft",
        "${HOME}/loras/x.sft",
        "loras/" + "x" * 200 + ".sft",
    ],
)
def test_read_hostile_path_is_refused(path: str) -> None:
    with pytest.raises(LockInvalid, match=r"is refused|one path"):
        read_lock(write_models(write_model(path)))


@pytest.mark.parametrize("name", ["../x.sft", "/x.sft", "a\\b.sft", ".", ""])
def test_read_hostile_build_file_name_is_refused(name: str) -> None:
    definition = {"models": [{"type": "loras", "filename": name, "sha256": OTHER}]}
    with pytest.raises(LockInvalid):
        read_lock(json.dumps({"schema": "comfy-build/1", "definition": definition}).encode())


@pytest.mark.parametrize("other", ["loras/ink.sft", "loras/INK.sft"], ids=["same", "same on some disks"])
def test_read_two_contents_for_one_path_is_refused(other: str) -> None:
    with pytest.raises(LockInvalid, match="two contents for one path"):
        read_lock(write_models(write_model(), write_model(other, "d" * 64)))


NESTED = "[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1)
REFUSED = {
    "empty": b"",
    "text": b"hello",
    "list": b"- 1",
    "other mapping": b"a: 1",
    "bytes": b"\xff\xfe\x00models",
    "null byte": b"models: []\x00",
    "tab": b"models:\n\t- 1",
    "cut JSON": b'{"models": [',
    "two documents": b"models: []\n---\nmodels: []\n",
    "key twice": b"models: []\nmodels: []\n",
    "key twice in JSON": b'{"models": [], "models": []}',
    "models is a text": b"models: x",
    "models of texts": b"models: [x]",
    "no paths": b"models: [{model: x}]",
    "path is a list": b"models: [{paths: [{path: [x]}]}]",
    "short hash": write_models(write_model(digest="abc")),
    "hash is a number": write_models(write_model(digest=12)),
    "two hashes": write_models(
        write_model(hashes=[{"hash": OTHER, "type": "SHA256"}, {"hash": "d" * 64, "type": "sha256"}])
    ),
    "other schema": b"schema: project/1\nmodels: []\n",
    "build without definition": b"schema: comfy-build/1\n",
    "deep YAML": f"models: {NESTED}".encode(),
    "very deep YAML": b"models: " + b"[" * 100_000,
    "deep JSON": b'{"models": ' + b"[" * 100_000,
    "circle": b"models: &a [*a]",
    "many aliases": b"a: &a x\nmodels: [" + b"*a, " * (MAX_ALIASES + 1) + b"]",
    "aliases of aliases": b"a: &a [x,x,x,x,x,x,x,x,x,x]\n"
    + b"".join(f"{b}: &{b} [{','.join([f'*{a}'] * 10)}]\n".encode() for a, b in zip("abcdefg", "bcdefgh", strict=True))
    + b"models: []\n",
    "unknown anchor": b"models: *a",
    "object of Python": b"models: [!!python/object/apply:os.system [x]]",
    "too large": b"models: []\n" + b"#" * MAX_LOCK_BYTES,
}


@pytest.mark.parametrize("document", REFUSED.values(), ids=REFUSED.keys())
def test_read_invalid_document_is_refused(document: bytes) -> None:
    with pytest.raises(LockInvalid):
        read_lock(document)


def test_read_invalid_yaml_says_where() -> None:
    with pytest.raises(LockInvalid, match=r"in line 2, column \d") as refused:
        read_lock(b"models:\n  - [x\n")
    assert "unicode string" not in str(refused.value)


def test_read_more_models_than_the_limit_is_refused() -> None:
    with pytest.raises(LockInvalid, match="10,000"):
        read_lock(write_models(*(write_model(f"loras/{number}.sft") for number in range(MAX_LOCKED_MODELS + 1))))
