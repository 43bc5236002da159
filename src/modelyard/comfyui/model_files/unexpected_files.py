"""Files uploaded by mistake (web page, Git LFS pointer, archive, picture), recognised by their first bytes."""

import re
from dataclasses import dataclass

from modelyard.comfyui.model_files.readers import Reader
from modelyard.wire.texts.cleaning import clean_text

HEAD = 4096


@dataclass(frozen=True)
class UnexpectedFile:
    """A recognised kind of file; ``name`` becomes the fact ``found``, ``explanation`` the detail with what to do."""

    name: str
    explanation: str


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
    # Atomic groups: a head full of comments could otherwise be split into comments in exponentially many ways.
    rb"^\s*(?:(?><!--.*?-->\s*))*+(<\?xml[^>]*>\s*)?<(!doctype\s+html|html|head|body)\b",
    re.IGNORECASE | re.DOTALL,
)
_LFS = re.compile(rb"^version https://git-lfs\.github\.com/spec/v1\r?\n")
_LFS_FIELD = re.compile(rb"^(oid|size) ([a-z0-9:]{1,80})\r?$", re.MULTILINE)
_XML = re.compile(rb"^(\xef\xbb\xbf)?\s*<(\?xml|[A-Za-z][A-Za-z0-9:_-]*[\s>])")
_XML_CODE = re.compile(rb"<Code>([A-Za-z0-9.]{1,60})</Code>")
_JSON = re.compile(rb'^(\xef\xbb\xbf)?\s*(\{\s*("|\})|\[\s*("|\{|\[|\]|\d))')
_MESSAGE = re.compile(rb'"(?:error|message|detail|error_message)"\s*:\s*"([^"\\]{1,200})"')


def find_unexpected_file(reader: Reader) -> UnexpectedFile | None:
    """Recognise a file of another kind, or return None; reads at most ``HEAD`` bytes in each of four places.

    Call it for content that no supported format claims: zips, tars and GGUF files are recognised too.
    """
    if reader.size == 0:
        return UnexpectedFile("empty file", "The file is empty. Upload it again.")
    head = reader.read(0, HEAD)
    return _detect_lfs_pointer(head) or _detect_text(head) or _detect_magic(head) or _detect_zeros(reader, head)


def _detect_lfs_pointer(head: bytes) -> UnexpectedFile | None:
    """Recognise a Git LFS pointer; its explanation names the oid and the size that it refers to."""
    if not _LFS.match(head):
        return None
    fields = {match[1]: match[2].decode() for match in _LFS_FIELD.finditer(head[:1024])}
    return UnexpectedFile(
        "git lfs pointer",
        f"This is a Git LFS pointer, not a model: it refers to the real file ({fields.get(b'oid', 'unknown oid')}, "
        f"{fields.get(b'size', 'unknown')} bytes). Run 'git lfs pull' and upload the file that it downloads.",
    )


def _detect_text(head: bytes) -> UnexpectedFile | None:
    """Recognise an HTML, XML or JSON document; an error code or message in it is quoted, cleaned and truncated."""
    if _HTML.match(head):
        return UnexpectedFile(
            "html page",
            "This is an HTML page, not a model: the download probably returned a sign-in or error page. "
            "Sign in, download the model again, and check its size.",
        )
    if _XML.match(head):
        code = _XML_CODE.search(head)
        quoted = f" (it contains '{code[1].decode()}')" if code else ""
        return UnexpectedFile(
            "xml document", f"This is an XML document, not a model{quoted}. Download the model again."
        )
    if _JSON.match(head):
        message = _MESSAGE.search(head)
        quoted = f" (it contains '{clean_text(message[1].decode('utf-8', 'replace'), 120)}')" if message else ""
        return UnexpectedFile(
            "json document",
            f"This is a JSON document, not a model{quoted}: perhaps an error response, an index or a workflow. "
            "Upload the model file itself.",
        )
    return None


def _detect_magic(head: bytes) -> UnexpectedFile | None:
    """Recognise an archive, picture, GGUF file or other format by its magic bytes."""
    for offset, magic, name in _MAGIC:
        if head[offset : offset + len(magic)] == magic:
            article = "an" if name[0] in "AEIO" or name.startswith(("empty", "RAR", "MP4", "HDF5", "xz")) else "a"
            return UnexpectedFile(
                name.lower(),
                f"This is {article} {name}, not a model of the format that its extension stands for. Upload the model "
                "itself.",
            )
    return None


def _detect_zeros(reader: Reader, head: bytes) -> UnexpectedFile | None:
    """Recognise a file of zero bytes by four samples: of a full disk, or of a download that reserved its space only."""
    offsets = (0, reader.size // 3, reader.size // 2, max(0, reader.size - HEAD))
    if any(head) or any(any(reader.read(offset, HEAD)) for offset in offsets[1:]):
        return None
    return UnexpectedFile(
        "zeros", "This file contains only zero bytes: probably an incomplete download. Download it again."
    )
