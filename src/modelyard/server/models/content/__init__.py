"""What a file is: its content and its extension must agree, and its structure must be whole.

reading.py      ranges of a file, bounded
facts.py        what a file says of itself, made safe
json_guard.py   JSON from strangers
safetensors.py  gguf.py  onnx.py      one format each
pickles.py      pickle formats: refused, or scanned in cage/
imposters.py    web pages, Git LFS pointers, archives: named for what they are
families.py     trainers.py           a guess at the architecture; what trainers wrote
"""

from pathlib import PurePosixPath

from modelyard.server.models.content.facts import ModelFacts
from modelyard.server.models.content.gguf import examine_gguf
from modelyard.server.models.content.imposters import HEAD, find_imposter
from modelyard.server.models.content.onnx import examine_onnx
from modelyard.server.models.content.pickles import PicklePolicy, examine_pickle
from modelyard.server.models.content.reading import Reader
from modelyard.server.models.content.refusing import refusal
from modelyard.server.models.content.safetensors import examine_safetensors, looks_like_safetensors
from modelyard.wire.problems import NotAModelFile

__all__ = ["EXTENSIONS", "ModelFacts", "PicklePolicy", "Reader", "examine"]

EXTENSIONS = {
    ".safetensors": "safetensors",
    ".sft": "safetensors",
    ".gguf": "gguf",
    ".onnx": "onnx",
    ".ckpt": "pickle",
    ".pt": "pickle",
    ".pt2": "pickle",
    ".pth": "pickle",
    ".bin": "pickle",
    ".pkl": "pickle",
}
_USUAL = {"safetensors": ".safetensors", "gguf": ".gguf", "onnx": ".onnx", "pickle": ".ckpt, .pt or .pth"}


def examine(reader: Reader, file_name: str, pickle_policy: PicklePolicy) -> ModelFacts:
    """What the bytes are, if they are a whole model of the kind that the name's extension promises.

    Reads headers only, whatever the size of the file; blocks while it reads, so call it from a thread.

    Raises:
        NotAModelFile: anything else; the detail says what the file is and what to do. Errors of the store pass through.
    """
    extension = PurePosixPath(file_name).suffix.lower()
    expected = EXTENSIONS.get(extension)
    if expected is None or reader.size == 0:
        raise _stranger(reader, extension)
    kind = _kind(reader, expected)
    if kind is None:
        raise _stranger(reader, extension)
    if kind != expected:
        raise refusal(
            f"The content is {kind}, the extension '{extension}' promises {expected}: programs choose how to load a "
            f"file by its extension. Name it with {_USUAL[kind]}.",
            f"{kind} file",
            extension=extension,
        )
    if kind == "safetensors":
        return examine_safetensors(reader)
    if kind == "gguf":
        return examine_gguf(reader)
    if kind == "onnx":
        return examine_onnx(reader)
    return examine_pickle(reader, pickle_policy)


def _kind(reader: Reader, expected: str) -> str | None:
    """The format by its first bytes, or None for none of ours.

    Safetensors and ONNX have no magic number. A length of safetensors may spell any two-byte magic, so its test comes
    before all others; a file that no other test knows and that promises ONNX or safetensors is left to their checks.
    """
    head = reader.read(0, HEAD)
    if looks_like_safetensors(head):
        return "safetensors"
    if head.startswith((b"GGUF", b"FUGG")):
        return "gguf"
    if head[:1] == b"\x80" and head[1:2] in (b"\0", b"\1", b"\2", b"\3", b"\4", b"\5"):
        return "pickle"
    if expected == "pickle" and (head.startswith(b"PK") or head[257:262] == b"ustar"):
        return "pickle"
    if find_imposter(reader) is not None:
        return None
    if expected == "onnx" or (expected == "safetensors" and reader.size > 8):
        return expected
    return None


def _stranger(reader: Reader, extension: str) -> NotAModelFile:
    imposter = find_imposter(reader)
    if imposter is not None:
        return refusal(imposter.sentence, imposter.found, extension=extension)
    known = " ".join(EXTENSIONS)
    if extension not in EXTENSIONS:
        return refusal(
            f"A model here is one file with one of these extensions: {known}. Folders of the diffusers layout are not "
            "models for this registry; convert them to one file.",
            "unknown extension",
            extension=extension[:20],
        )
    return refusal(
        f"The content is nothing that '{extension}' promises: it may be damaged, encrypted or something else. "
        "Look at where it came from and upload the model file itself.",
        "unknown content",
        extension=extension,
    )
