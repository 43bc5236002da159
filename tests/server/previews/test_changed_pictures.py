"""Pictures with random changes: decoded or refused; Pillow's many kinds of exception are no failures of the decoder."""

import random

import pytest

from modelyard.server.previews.encoding import PictureInvalid, encode_picture
from tests.server.previews.drawings import draw, make_animation, make_photo_with_place, save

CHANGED_PICTURES = 100
PICTURES = {
    **{name: save(draw(size=(24, 16)), name) for name in ("PNG", "JPEG", "WEBP", "GIF", "AVIF")},
    "JPEG with EXIF": make_photo_with_place(6),
    "animation": make_animation(),
}


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("name", PICTURES)
def test_randomly_changed_picture_raises_no_other_error_than_refusals(name: str) -> None:
    rng, refused = random.Random(20261130), 0
    for _ in range(CHANGED_PICTURES):
        changed = bytearray(PICTURES[name])
        for _ in range(rng.randint(1, 4)):
            # Most of what a decoder checks is at the beginning.
            changed[min(rng.randrange(len(changed)), rng.randrange(len(changed)))] = rng.randrange(256)
        try:
            encode_picture(bytes(changed))
        except PictureInvalid:
            refused += 1
    assert refused > 0
