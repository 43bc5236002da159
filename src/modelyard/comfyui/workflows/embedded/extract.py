"""Extraction of the workflow from a file of any kind that ComfyUI writes."""

import json
from collections.abc import Callable, Mapping

from modelyard.comfyui.workflows.documents import MAX_DOCUMENT_BYTES, is_api_format, is_graph
from modelyard.comfyui.workflows.embedded.avif import read_avif
from modelyard.comfyui.workflows.embedded.glb import read_glb
from modelyard.comfyui.workflows.embedded.id3 import read_mp3
from modelyard.comfyui.workflows.embedded.mp4 import read_mp4
from modelyard.comfyui.workflows.embedded.png import read_png
from modelyard.comfyui.workflows.embedded.safetensors import is_safetensors, read_safetensors
from modelyard.comfyui.workflows.embedded.svg import read_svg
from modelyard.comfyui.workflows.embedded.vorbis import read_flac, read_ogg
from modelyard.comfyui.workflows.embedded.webm import read_webm
from modelyard.comfyui.workflows.embedded.webp import read_webp
from modelyard.comfyui.workflows.references import WorkflowUnreadable

_BLANKS = b"\xef\xbb\xbf \t\r\n"
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_READERS: tuple[tuple[bytes, int, Callable[[bytes], Mapping[str, bytes]]], ...] = (
    (b"\x89PNG\r\n\x1a\n", 0, read_png),
    (b"WEBP", 8, read_webp),
    (b"ftypavif", 4, read_avif),
    (b"ftypavis", 4, read_avif),
    (b"ftypmif1", 4, read_avif),
    # Other brands are those of MP4 and MOV.
    (b"ftyp", 4, read_mp4),
    (b"\x1a\x45\xdf\xa3", 0, read_webm),
    (b"glTF", 0, read_glb),
    (b"fLaC", 0, read_flac),
    (b"OggS", 0, read_ogg),
    (b"ID3", 0, read_mp3),
    (b"\xff\xfb", 0, read_mp3),
)


def extract_workflow(data: bytes) -> bytes:
    """Return the JSON text of the workflow that a file contains: of JSON itself, or of a file that ComfyUI saved.

    PNG, APNG, WebP, AVIF, SVG, MP4, WebM, GLB, FLAC, Ogg (Opus, Vorbis), MP3 and safetensors (``.latent``) are
    recognized by their first bytes.
    The text in UI format is returned if there is one that can be read, else that in API format.

    Raises:
        WorkflowUnreadable: the file contains no workflow, or is of another kind.
    """
    # Before JSON: the size of the header may begin as a text does.
    if is_safetensors(data):
        return _choose(read_safetensors(data))
    start = data[:1024].lstrip(_BLANKS)
    if start[:1] == b"{" or data[:2] in _UTF16_MARKS:
        return data
    if start[:1] == b"<":
        return _choose(read_svg(data))
    for magic, offset, read in _READERS:
        if data[offset : offset + len(magic)] == magic:
            return _choose(read(data))
    raise WorkflowUnreadable(
        "The file is neither a workflow (JSON) nor a PNG, WebP, AVIF, SVG, MP4, WebM, GLB, FLAC, Ogg, MP3 or latent."
    )


def _choose(texts: Mapping[str, bytes]) -> bytes:
    """Return the first text that is a workflow; ``workflow`` before ``prompt``, see this package's docstring."""
    for key in ("workflow", "prompt"):
        text = texts.get(key, b"").strip(b"\x00 \r\n\t")
        if text and len(text) <= MAX_DOCUMENT_BYTES and _is_workflow(text):
            return text
    raise WorkflowUnreadable("The file contains no workflow. ComfyUI writes none with --disable-metadata.")


def _is_workflow(text: bytes) -> bool:
    """Return whether a text is a workflow in UI or API format."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return is_graph(content) or is_api_format(content)
