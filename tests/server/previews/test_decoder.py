"""Decoding of pictures in the sandbox: what is kept, what is left out, and what is refused."""

import base64
import hashlib
import json

import pytest
from PIL import Image, ImageCms

from modelyard.server.previews.decoder import decode_picture, find_embedded_picture, render_png
from modelyard.server.previews.embedded import COVERS, THUMBNAIL
from modelyard.wire.formats import PICTURE_FORMATS
from modelyard.wire.problems import PictureRefused
from tests.server.previews.drawings import (
    HTML,
    SVG,
    draw,
    make_animation,
    make_bomb,
    make_photo_with_place,
    make_png,
    open_picture,
    save,
)

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("format_name", PICTURE_FORMATS)
def test_decode_each_format_returns_two_webp_sizes(format_name: str) -> None:
    picture = decode_picture(save(draw(size=(1000, 1250)), format_name))
    small, large = open_picture(picture.small), open_picture(picture.large)
    assert (small.format, small.size) == ("WEBP", (256, 320))
    assert (large.format, large.size) == ("WEBP", (512, 640))
    assert picture.sha256 == hashlib.sha256(picture.large).hexdigest()


@pytest.mark.parametrize("format_name", PICTURE_FORMATS)
def test_each_format_is_found_in_each_entry_of_a_header(format_name: str) -> None:
    """In the sandbox, where tests forbid imports after its limits: see ``tests.server.sandbox_imports``."""
    content = save(draw(), format_name)
    encoded = base64.b64encode(content).decode()
    for name, entry in {THUMBNAIL: f"data:image/png;base64,{encoded}", COVERS: json.dumps([encoded])}.items():
        header = json.dumps({"__metadata__": {name: entry}}).encode()
        assert find_embedded_picture(header, blob="a test") == decode_picture(content)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_decode_each_mode_of_png_keeps_its_brightness(mode: str) -> None:
    image = Image.new("I;16", (40, 40), 0x8080) if mode == "I;16" else Image.new("L", (40, 40), 255).convert(mode)
    [red, *_] = open_picture(decode_picture(save(image)).large).convert("RGB").getpixel((20, 20))  # type: ignore[misc]  # a tuple in this mode
    assert abs(red - (128 if mode == "I;16" else 255)) < 4


def test_decode_cmyk_jpeg_becomes_rgb() -> None:
    picture = decode_picture(save(draw("#ff0000").convert("CMYK"), "JPEG"))
    assert open_picture(picture.large).mode == "RGB"


@pytest.mark.parametrize(
    ("size", "expected"),
    [((10, 10), (10, 10)), ((2000, 500), (512, 128)), ((500, 4000), (128, 1024)), ((8192, 1), (512, 1))],
)
def test_decode_fits_the_box_and_enlarges_nothing(size: tuple[int, int], expected: tuple[int, int]) -> None:
    assert open_picture(decode_picture(make_png(size=size)).large).size == expected


@pytest.mark.parametrize("orientation", range(1, 9))
def test_decode_turns_picture_as_its_exif_says(orientation: int) -> None:
    """The white square is at the upper left of the stored picture, so the EXIF decides where it is seen."""
    image = open_picture(decode_picture(make_photo_with_place(orientation)).large).convert("L")
    expected = open_picture(make_photo_with_place(orientation)).convert("L")
    turned = {
        1: expected,
        2: expected.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        3: expected.transpose(Image.Transpose.ROTATE_180),
        4: expected.transpose(Image.Transpose.FLIP_TOP_BOTTOM),
        5: expected.transpose(Image.Transpose.TRANSPOSE),
        6: expected.transpose(Image.Transpose.ROTATE_270),
        7: expected.transpose(Image.Transpose.TRANSVERSE),
        8: expected.transpose(Image.Transpose.ROTATE_90),
    }[orientation]
    assert image.size == turned.size
    corners = [(10, 10), (image.width - 10, 10), (10, image.height - 10), (image.width - 10, image.height - 10)]
    assert [image.getpixel(corner) > 200 for corner in corners] == [  # type: ignore[operator]  # numbers in this mode
        turned.getpixel(corner) > 200  # type: ignore[operator]  # likewise
        for corner in corners
    ]


def test_decode_photo_with_gps_leaves_no_metadata() -> None:
    photo = make_photo_with_place()
    assert b"Secret Camera" in photo
    picture = decode_picture(photo)
    for content in (picture.small, picture.large, render_png(picture.large)):
        image = open_picture(content)
        assert not image.getexif()
        assert set(image.info) <= {"loop", "background", "timestamp", "duration"}
        assert b"ecret" not in content
        assert b"EXIF" not in content


def test_decode_picture_with_other_profile_is_converted_to_srgb() -> None:
    """In this profile, what the file calls red is blue."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = profile.replace(b"rXYZ", b"?XYZ").replace(b"bXYZ", b"rXYZ").replace(b"?XYZ", b"bXYZ")
    picture = decode_picture(save(Image.new("RGB", (40, 40), (255, 0, 0)), icc_profile=swapped))
    assert "icc_profile" not in open_picture(picture.large).info
    assert picture.color == "#0000ff"


def test_decode_broken_profile_is_ignored() -> None:
    assert decode_picture(save(draw("#336699"), icc_profile=b"nonsense")).color == decode_picture(make_png()).color


def test_decode_animation_of_2000_frames_keeps_the_first() -> None:
    image = open_picture(decode_picture(make_animation()).large)
    assert getattr(image, "n_frames", 1) == 1
    red, green, _ = image.convert("RGB").getpixel((16, 16))  # type: ignore[misc]  # a tuple in this mode
    assert red > 240
    assert green < 20


def test_decode_returns_average_color_of_what_is_not_transparent() -> None:
    image = Image.new("RGBA", (40, 40), (0, 0, 0, 0))
    image.paste((255, 0, 0, 255), (0, 0, 40, 20))
    assert decode_picture(save(image)).color == "#ff0000"


def test_decode_same_picture_twice_returns_same_hash() -> None:
    assert decode_picture(make_png()) == decode_picture(make_png())


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "is not a JPEG"),
        (SVG, "is not a JPEG"),
        (HTML, "is not a JPEG"),
        (b"SIMPLE  =                    T", "is not a JPEG"),
        (save(draw(), "TIFF"), "is not a JPEG"),
        (save(draw(), "BMP"), "is not a JPEG"),
        (make_png()[:-200], "is damaged"),
        (save(draw(size=(800, 800)), "JPEG")[:2000], "is damaged"),
        (save(draw(), "WEBP")[:60], "is damaged"),
        (save(draw(), "AVIF")[:-30], "is"),
        (make_bomb(), "has too many pixels"),
        (make_png(size=(8193, 1)), "has too many pixels"),
        (save(Image.new("1", (6000, 4001))), "has too many pixels"),
    ],
    ids=[
        *("empty", "svg", "html", "fits", "tiff", "bmp", "truncated png", "truncated jpeg", "truncated webp"),
        *("truncated avif", "bomb", "long side", "over 24 megapixels"),
    ],
)
def test_decode_refused_content_names_field_and_reason(content: bytes, why: str) -> None:
    with pytest.raises(PictureRefused) as refused:
        decode_picture(content)
    assert refused.value.detail.startswith(f"The picture {why}")
    assert refused.value.facts == {"field": "picture"}


def test_decode_24_megapixels_stays_within_limits() -> None:
    noise = Image.effect_noise((4800, 5000), 60).convert("RGBA")
    assert open_picture(decode_picture(save(noise, "PNG", compress_level=1)).large).width == 512


def test_render_png_keeps_pixels_of_stored_picture() -> None:
    picture = decode_picture(make_png())
    png = open_picture(render_png(picture.large))
    assert png.format == "PNG"
    assert png.convert("RGB").tobytes() == open_picture(picture.large).convert("RGB").tobytes()
