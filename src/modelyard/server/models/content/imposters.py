"""What people upload by mistake: a web page, a Git LFS pointer, an archive, a picture. Named for what it is."""

import re
from dataclasses import dataclass

from modelyard.server.models.content.facts import clean_text
from modelyard.server.models.content.reading import Reader

HEAD = 4096


@dataclass(frozen=True)
class Imposter:
    """``found`` goes into the facts, ``sentence`` into the detail: what it is, and what to do."""

    found: str
    sentence: str


_MAGIC: tuple[tuple[int, bytes, str], ...] = (
    (0, b"PK\x03\x04", "zip archive"),
    (0, b"PK\x05\x06", "empty zip archive"),
    (0, b"PK\x07\x08", "split zip archive"),
    (0, b"7z\xbc\xaf\x27\x1c", "7z archive"),
    (0, b"Rar!\x1a\x07", "RAR archive"),
    (0, b"\x1f\x8b", "gzip file"),
    (0, b"BZh", "bzip2 file"),
    (0, b"\xfd7zXZ\x00", "xz file"),
    (0, b"\x28\xb5\x2f\xfd", "zstd file"),
    (257, b"ustar", "tar archive"),
    (0, b"\x89PNG\r\n\x1a\n", "PNG picture"),
    (0, b"\xff\xd8\xff", "JPEG picture"),
    (0, b"GIF87a", "GIF picture"),
    (0, b"GIF89a", "GIF picture"),
    (8, b"WEBP", "WebP picture"),
    (4, b"ftyp", "MP4 or AVIF media file"),
    (0, b"\x1aE\xdf\xa3", "Matroska or WebM video"),
    (0, b"OggS", "Ogg media file"),
    (0, b"%PDF-", "PDF document"),
    (0, b"\x7fELF", "Linux program"),
    (0, b"MZ", "Windows program"),
    (0, b"#!", "script"),
    (0, b"\x89HDF\r\n\x1a\n", "HDF5 file (Keras)"),
    (0, b"\x93NUMPY", "NumPy array file"),
    (0, b"SQLite format 3\x00", "SQLite database"),
    (0, b"GGUF", "GGUF file"),
    (0, b"FUGG", "big-endian GGUF file"),
    (0, b"tjgg", "GGJT file (the old llama.cpp format)"),
    (4, b"TFL3", "TensorFlow Lite file"),
)
_HTML = re.compile(
    # Atomic, since a head full of comments could otherwise be cut into comments in exponentially many ways.
    rb"^\s*(?:(?><!--.*?-->\s*))*+(<\?xml[^>]*>\s*)?<(!doctype\s+html|html|head|body)\b",
    re.IGNORECASE | re.DOTALL,
)
_LFS = re.compile(rb"^version https://git-lfs\.github\.com/spec/v1\r?\n")
_LFS_FIELD = re.compile(rb"^(oid|size) ([a-z0-9:]{1,80})\r?$", re.MULTILINE)
_XML = re.compile(rb"^(\xef\xbb\xbf)?\s*<(\?xml|[A-Za-z][A-Za-z0-9:_-]*[\s>])")
_XML_CODE = re.compile(rb"<Code>([A-Za-z0-9.]{1,60})</Code>")
_JSON = re.compile(rb'^(\xef\xbb\xbf)?\s*(\{\s*("|\})|\[\s*("|\{|\[|\]|\d))')
_MESSAGE = re.compile(rb'"(?:error|message|detail|error_message)"\s*:\s*"([^"\\]{1,200})"')


def find_imposter(reader: Reader) -> Imposter | None:
    """What the file is instead of a model, or None; reads at most ``HEAD`` bytes and a few probes."""
    if reader.size == 0:
        return Imposter("empty file", "The file is empty. Upload it again.")
    head = reader.read(0, HEAD)
    return _pointer(head) or _text(head) or _signature(head) or _zeros(reader, head)


def _pointer(head: bytes) -> Imposter | None:
    if not _LFS.match(head):
        return None
    named = {match[1]: match[2].decode() for match in _LFS_FIELD.finditer(head[:1024])}
    return Imposter(
        "git lfs pointer",
        f"This is a Git LFS pointer, not a model: it only names the real file ({named.get(b'oid', 'unknown oid')}, "
        f"{named.get(b'size', 'unknown')} bytes). Run 'git lfs pull' and upload the file that you then have.",
    )


def _text(head: bytes) -> Imposter | None:
    if _HTML.match(head):
        return Imposter(
            "html page",
            "This is an HTML page, not a model: the download probably met a sign-in or error page. "
            "Download the model again, signed in, and look at its size.",
        )
    if _XML.match(head):
        code = _XML_CODE.search(head)
        says = f" (it says '{code[1].decode()}')" if code else ""
        return Imposter("xml document", f"This is an XML document, not a model{says}. Download the model again.")
    if _JSON.match(head):
        message = _MESSAGE.search(head)
        says = f" (it says '{clean_text(message[1].decode('utf-8', 'replace'), 120)}')" if message else ""
        return Imposter(
            "json document",
            f"This is a JSON document, not a model{says}: an error answer, an index or a workflow perhaps. "
            "Upload the model file itself.",
        )
    return None


def _signature(head: bytes) -> Imposter | None:
    for offset, magic, name in _MAGIC:
        if head[offset : offset + len(magic)] == magic:
            article = "an" if name[0] in "AEIO" or name.startswith(("empty", "RAR", "MP4", "HDF5", "xz")) else "a"
            return Imposter(name.lower(), f"This is {article} {name}, not what its name says. Upload the model itself.")
    return None


def _zeros(reader: Reader, head: bytes) -> Imposter | None:
    """A disk that ran full, or a download tool that reserved the space and never filled it."""
    places = (0, reader.size // 3, reader.size // 2, max(0, reader.size - HEAD))
    if any(head) or any(any(reader.read(place, HEAD)) for place in places[1:]):
        return None
    return Imposter("zeros", "This file holds nothing but zero bytes: a download that never filled. Fetch it again.")
