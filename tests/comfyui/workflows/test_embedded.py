"""Workflows inside files, written as ComfyUI's savers write them, or by the containers' specifications."""

import contextlib
import io
import json
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from modelyard.comfyui.workflows.embedded.extract import extract_workflow
from modelyard.comfyui.workflows.references import WorkflowUnreadable

WORKFLOW = {"nodes": [{"id": 1, "type": "LoraLoader", "widgets_values": ["ink.safetensors", 1, 1]}], "version": 0.4}
PROMPT = {"1": {"class_type": "LoraLoader", "inputs": {"lora_name": "ink.safetensors"}}}
TEXTS = {"prompt": json.dumps(PROMPT), "workflow": json.dumps(WORKFLOW)}
# More than one Ogg page and more than one sync-safe byte can count.
LARGE = {"workflow": json.dumps(WORKFLOW | {"extra": {"note": "é" * 100_000}})}


def save_picture(kind: str, **options: object) -> bytes:
    """Encode a small picture with Pillow, as ComfyUI does."""
    stream = io.BytesIO()
    Image.new("RGB", (8, 8), "teal").save(stream, kind, **options)
    return stream.getvalue()


def build_png(texts: dict[str, str], *, is_deflated: bool = False) -> bytes:
    """Return a PNG by ``SaveImage``, or with iTXt chunks."""
    info = PngInfo()
    for key, text in texts.items():
        if is_deflated:
            info.add_itxt(key, text, zip=True)
        else:
            info.add_text(key, text)
    return save_picture("PNG", pnginfo=info)


def build_apng(texts: dict[str, str]) -> bytes:
    """Return an animated PNG by ``SaveAnimatedPNG``."""
    info = PngInfo()
    for key, text in texts.items():
        info.add(b"comf", key.encode("latin-1") + b"\0" + text.encode("latin-1"), after_idat=True)
    return save_picture("PNG", pnginfo=info, save_all=True, append_images=[Image.new("RGB", (8, 8), "red")])


def build_with_exif(kind: str, texts: dict[str, str]) -> bytes:
    """Return a picture with EXIF tags by ``SaveAnimatedWEBP``: prompt as Model, then downwards from Make."""
    exif = Image.new("RGB", (8, 8)).getexif()
    exif[0x0110] = f"prompt:{texts['prompt']}"
    exif[0x010F] = f"workflow:{texts['workflow']}"
    return save_picture(kind, exif=exif)


def build_comments(texts: dict[str, str]) -> bytes:
    """Return Vorbis comments without framing bit."""
    lines = [f"{key}={text}".encode() for key, text in {"encoder": "Lavc", **texts}.items()]
    counted = b"".join(struct.pack("<I", len(line)) + line for line in lines)
    return struct.pack("<I", 4) + b"Lavf" + struct.pack("<I", len(lines)) + counted


def build_flac(texts: dict[str, str]) -> bytes:
    """Return the metadata blocks of a FLAC file: STREAMINFO, comments, padding."""
    blocks = [(0, bytes(34)), (4, build_comments(texts)), (1 | 0x80, bytes(64))]
    return b"fLaC" + b"".join(bytes([kind]) + struct.pack(">I", len(block))[1:] + block for kind, block in blocks)


def build_ogg(texts: dict[str, str]) -> bytes:
    """Return the first pages of an Ogg Opus file; pages have at most 255 segments, and their checksums are zero."""
    pages: list[bytes] = []
    for packet in (b"OpusHead" + bytes(11), b"OpusTags" + build_comments(texts)):
        sizes = [255] * (len(packet) // 255) + [len(packet) % 255]
        offset = 0
        for start in range(0, len(sizes), 255):
            table = bytes(sizes[start : start + 255])
            header = struct.pack("<4sBBqIIIB", b"OggS", 0, int(start > 0), 0, 7, len(pages), 0, len(table))
            pages.append(header + table + packet[offset : offset + sum(table)])
            offset += sum(table)
    return b"".join(pages)


def build_mp3(texts: dict[str, str], version: int = 4) -> bytes:
    """Return an ID3 tag with frames TXXX, as FFmpeg writes them, and the beginning of a frame of sound."""

    def encode_size(size: int) -> bytes:
        return bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0))

    frames = b""
    for key, text in {"encoder": "Lavf", **texts}.items():
        content = b"\x03" + key.encode() + b"\0" + text.encode() + b"\0"
        size = encode_size(len(content)) if version == 4 else struct.pack(">I", len(content))
        frames += b"TXXX" + size + b"\0\0" + content
    return b"ID3" + bytes([version, 0, 0]) + encode_size(len(frames) + 100) + frames + bytes(100) + b"\xff\xfb\x90\x44"


def build_box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", 8 + len(content)) + kind + content


def build_mp4(texts: dict[str, str]) -> bytes:
    """Return the boxes of an MP4 by FFmpeg with ``use_metadata_tags``, with its index at the end."""
    entries = {"encoder": "Lavf", **texts}
    keys = b"".join(build_box(b"mdta", key.encode()) for key in entries)
    values = b"".join(
        build_box(struct.pack(">I", number), build_box(b"data", struct.pack(">II", 1, 0) + text.encode()))
        for number, text in enumerate(entries.values(), start=1)
    )
    handler = build_box(b"hdlr", bytes(8) + b"mdta" + bytes(13))
    listed = build_box(b"keys", struct.pack(">II", 0, len(entries)) + keys) + build_box(b"ilst", values)
    metadata = build_box(b"udta", build_box(b"meta", bytes(4) + handler + listed))
    start = build_box(b"ftyp", b"isom" + bytes(4) + b"isommp42") + build_box(b"mdat", bytes(1000))
    return start + build_box(b"moov", build_box(b"mvhd", bytes(100)) + metadata)


def build_webm(texts: dict[str, str]) -> bytes:
    """Return a WebM with tags, whose names FFmpeg writes in capitals; its segment is of unknown size."""

    def build_element(identifier: str, content: bytes) -> bytes:
        return bytes.fromhex(identifier) + struct.pack(">Q", 1 << 56 | len(content)) + content

    tags = b"".join(
        build_element("67c8", build_element("45a3", key.upper().encode()) + build_element("4487", text.encode()))
        for key, text in texts.items()
    )
    segment = build_element("1549a966", bytes(20)) + build_element("1254c367", build_element("7373", tags))
    return build_element("1a45dfa3", bytes(20)) + bytes.fromhex("18538067") + b"\x01" + b"\xff" * 7 + segment


def build_glb(texts: dict[str, str]) -> bytes:
    """Return a GLB by ``SaveGLB``: the JSON chunk is padded with blanks."""
    content = json.dumps({"asset": {"version": "2.0", "extras": texts}}).encode()
    content += b" " * (-len(content) % 4)
    return struct.pack("<4sII", b"glTF", 2, 20 + len(content)) + struct.pack("<I", len(content)) + b"JSON" + content


def build_latent(texts: dict[str, str]) -> bytes:
    """Return a latent by ``SaveLatent``: safetensors, whose header is padded with blanks."""
    tensor = {"dtype": "F32", "shape": [1, 1], "data_offsets": [0, 4]}
    content = json.dumps({"__metadata__": texts, "latent_tensor": tensor}).encode()
    content += b" " * (-len(content) % 8)
    return struct.pack("<Q", len(content)) + content + bytes(4)


def build_svg(texts: dict[str, str]) -> bytes:
    """Return an SVG by ``SaveSVGNode``."""
    metadata = json.dumps({key: json.loads(text) for key, text in texts.items()}, indent=2)
    element = f"  <metadata>\n    <![CDATA[\n{metadata}\n    ]]>\n  </metadata>"
    return f'<svg xmlns="http://www.w3.org/2000/svg">\n{element}\n</svg>'.encode()


FILES = {
    "JSON": TEXTS["workflow"].encode(),
    "JSON in UTF-16": TEXTS["workflow"].encode("utf-16"),
    "PNG": build_png(TEXTS),
    "PNG with iTXt": build_png(TEXTS, is_deflated=True),
    "APNG": build_apng(TEXTS),
    "WebP": build_with_exif("WEBP", TEXTS),
    "FLAC": build_flac(TEXTS),
    "Ogg": build_ogg(TEXTS),
    "MP3": build_mp3(TEXTS),
    "MP3 with ID3v2.3": build_mp3(TEXTS, version=3),
    "SVG": build_svg(TEXTS),
    "MP4": build_mp4(TEXTS),
    "WebM": build_webm(TEXTS),
    "GLB": build_glb(TEXTS),
    "latent": build_latent(TEXTS),
}


@pytest.mark.parametrize("data", FILES.values(), ids=FILES)
def test_extract_file_with_both_texts_returns_workflow(data: bytes) -> None:
    assert json.loads(extract_workflow(data)) == WORKFLOW


def test_extract_avif_returns_workflow() -> None:
    assert json.loads(extract_workflow(build_with_exif("AVIF", TEXTS))) == WORKFLOW


@pytest.mark.parametrize(
    "build", [build_png, build_flac, build_ogg, build_mp3, build_svg, build_mp4, build_webm, build_glb, build_latent]
)
def test_extract_large_workflow_returns_all_of_it(build: object) -> None:
    assert callable(build)
    assert json.loads(extract_workflow(build(LARGE))) == json.loads(LARGE["workflow"])


def test_extract_file_with_unreadable_workflow_returns_prompt() -> None:
    data = build_png({"workflow": '{"nodes": [', "prompt": TEXTS["prompt"]})
    assert json.loads(extract_workflow(data)) == PROMPT


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GIF89a",
        save_picture("PNG"),
        save_picture("WEBP"),
        build_flac({}),
        build_ogg({}),
        build_mp3({}),
        b"<svg></svg>",
        build_mp4({}),
        build_webm({}),
        build_glb({}),
        build_latent({}),
        b"\0\0\0\x1cftypavif",
    ],
    ids=["empty", "GIF", "PNG", "WebP", "FLAC", "Ogg", "MP3", "SVG", "MP4", "WebM", "GLB", "latent", "AVIF"],
)
def test_extract_file_without_workflow_raises(data: bytes) -> None:
    with pytest.raises(WorkflowUnreadable):
        extract_workflow(data)


@pytest.mark.parametrize("first", [b"{", b"<", b" ", b"\xff\xfe"], ids=["brace", "tag", "blank", "UTF-16"])
def test_extract_latent_whose_size_begins_as_a_text_returns_workflow(first: bytes) -> None:
    size = 0x1_00_00 + int.from_bytes(first, "little")
    content = json.dumps({"__metadata__": TEXTS}).encode().ljust(size)
    assert json.loads(extract_workflow(struct.pack("<Q", size) + content)) == WORKFLOW


@pytest.mark.parametrize("size", [15_744, 15_871])
def test_extract_mp3_whose_tag_has_a_size_that_ends_as_latents_begin_returns_workflow(size: int) -> None:
    around_tag = 10 + 4
    padding = size + around_tag - len(build_mp3(TEXTS | {"comment": ""}))
    data = build_mp3(TEXTS | {"comment": "-" * padding})
    assert data[4:9] == b"\0\0\0\0{"
    assert json.loads(extract_workflow(data)) == WORKFLOW


@pytest.mark.parametrize("size", [0, 2**31, 2**32 - 1])
def test_extract_latent_with_false_header_size_raises(size: int) -> None:
    with pytest.raises(WorkflowUnreadable):
        extract_workflow(struct.pack("<Q", size) + build_latent(TEXTS)[8:])


@pytest.mark.parametrize("size", [0x7FFFFFFF, 0xFFFFFFFF])
def test_extract_png_with_false_chunk_size_raises(size: int) -> None:
    data = bytearray(build_png(TEXTS))
    start = data.index(b"tEXt") - 4
    data[start : start + 4] = struct.pack(">I", size)
    with pytest.raises(WorkflowUnreadable):
        extract_workflow(bytes(data))


def test_extract_png_with_text_that_inflates_to_4_gigabytes_raises() -> None:
    compressor = zlib.compressobj(9, wbits=-15)
    # A full flush ends the block at a byte and empties the dictionary, so that the block can be repeated.
    block = compressor.compress(bytes(2**24)) + compressor.flush(zlib.Z_FULL_FLUSH)
    content = b"workflow\0\x01\0\0\0" + b"\x78\xda" + block * 256
    chunk = struct.pack(">I", len(content)) + b"iTXt" + content + bytes(4)
    picture = save_picture("PNG")
    with pytest.raises(WorkflowUnreadable, match="larger"):
        extract_workflow(picture[:33] + chunk + picture[33:])


@given(st.sampled_from(sorted(FILES)), st.data())
def test_extract_damaged_file_raises_only_workflow_unreadable(kind: str, data: st.DataObject) -> None:
    content = bytearray(FILES[kind])
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(WorkflowUnreadable):
        extract_workflow(bytes(content[: data.draw(st.integers(0, len(content)))]))
