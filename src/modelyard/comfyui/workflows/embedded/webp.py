"""The EXIF chunk of WebP (RFC 9649, section 2.7.1.5)."""

from modelyard.comfyui.workflows.embedded.exif import read_exif


def read_webp(data: bytes) -> dict[str, bytes]:
    """Return the texts of the EXIF chunk, see ``read_exif``."""
    offset = 12
    while len(header := data[offset : offset + 8]) == 8:
        size = int.from_bytes(header[4:], "little")
        if header[:4] == b"EXIF":
            return read_exif(data[offset + 8 : offset + 8 + size])
        # Chunks are padded to an even size.
        offset += 8 + size + size % 2
    return {}
