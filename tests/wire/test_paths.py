"""Validation of model paths, tested with generated paths that are unsafe or ambiguous on some platform."""

import itertools
import json
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelyard.wire.paths import (
    SOURCE_PATTERN,
    ModelPath,
    ModelPathInvalid,
    build_path_key,
    exceeds_windows_limit,
    parse_model_path,
)
from modelyard.wire.texts.invisible_characters import has_invisible_characters

# The page's tests read the same file: web/tests/upload-paths.spec.ts.
CASES = json.loads(Path(__file__).with_name("model_path_cases.json").read_text(encoding="utf-8"))
# Type, path, refused field and message. Each segment is invalid in every place of a path.
INVALID: list[tuple[str, str, str, str]] = [
    *(
        ("loras", place.format(segment), "model_path", message)
        for place, (segment, message) in itertools.product(CASES["places"], CASES["invalid_segments"])
    ),
    *((kind, path, field, message) for kind, path, field, message in CASES["invalid_paths"]),
]
# Type, path, and the parsed path: relative path, canonical type and key.
VALID: list[tuple[str, str, ModelPath]] = [
    (kind, path, ModelPath(relative, canonical_type, key))
    for kind, path, relative, canonical_type, key in CASES["valid_paths"]
]
CORPUS = sorted({path for _, path, field, _ in INVALID if field == "model_path"}, key=repr)


def test_path_corpus_has_at_least_500_cases() -> None:
    assert len(CORPUS) >= 500


@pytest.mark.parametrize(("model_type", "path", "field", "message"), INVALID, ids=ascii)
def test_parse_model_path_shared_invalid_case_is_rejected_with_the_recorded_message(
    model_type: str, path: str, field: str, message: str
) -> None:
    with pytest.raises(ModelPathInvalid) as refused:
        parse_model_path(model_type, path)
    assert (refused.value.field, str(refused.value)) == (field, message)


@pytest.mark.parametrize(("model_type", "path", "parsed"), VALID, ids=ascii)
def test_parse_model_path_shared_valid_case_gives_the_recorded_path(
    model_type: str, path: str, parsed: ModelPath
) -> None:
    assert parse_model_path(model_type, path) == parsed


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("loras/ink.safetensors", "models/loras/ink.safetensors"),
        ("loras/Ink.SafeTensors", "loras/iNK.sAFEtENSORS"),
        ("loras/STRASSE.bin", "loras/straße.bin"),
        ("loras/ÉTÉ.bin", "loras/été.bin"),
        ("loras/ΣΑΣ.bin", "loras/σας.bin"),
    ],
)
def test_path_key_paths_of_one_file_on_some_file_system_are_equal(one: str, other: str) -> None:
    assert parse_model_path("loras", one).key == parse_model_path("loras", other).key


def test_parse_model_path_with_any_invisible_character_is_rejected() -> None:
    hidden = [chr(code) for code in range(0x110000) if has_invisible_characters(chr(code))]
    assert len(hidden) > 100
    for character in hidden:
        with pytest.raises(ModelPathInvalid):
            parse_model_path("loras", f"loras/in{character}k.safetensors")


def test_path_key_type_alias_and_canonical_type_are_equal() -> None:
    assert parse_model_path("unet", "unet/x.bin").key == parse_model_path("diffusion_models", "unet/x.bin").key
    assert parse_model_path("clip", "clip/x.bin").canonical_type == "text_encoders"


def test_path_key_different_files_differ() -> None:
    assert parse_model_path("loras", "loras/a b.bin").key != parse_model_path("loras", "loras/a_b.bin").key


@pytest.mark.parametrize(
    ("path", "is_too_long"),
    [
        ("C:\\models\\loras\\ink.safetensors", False),
        ("C:\\" + "d" * 256, False),
        ("C:\\" + "d" * 257, True),
        # Two UTF-16 units each.
        ("C:\\" + "😀" * 128, False),
        ("C:\\" + "😀" * 129, True),
    ],
    ids=["usual", "longest", "one more", "longest of pairs", "one more pair"],
)
def test_exceeds_windows_limit_counts_utf16_units_and_the_nul(path: str, is_too_long: bool) -> None:
    assert exceeds_windows_limit(path) is is_too_long


# Names that mean a device, another name or a stream on Windows, and pairs of names that are one file there.
@pytest.mark.parametrize(
    "name",
    [
        *("CON", "con.safetensors", "NUL.tar.gz", "COM1", "com0.bin", "LPT9.txt", "COM¹", "CONIN$", "AUX .bin"),
        *("ink.", "ink ", " ink", "ink. "),
        *(f"ink{character}.bin" for character in '<>:"|?*\\\x00\x1f'),
    ],
    ids=ascii,
)
def test_parse_model_path_name_with_another_meaning_on_windows_is_refused(name: str) -> None:
    with pytest.raises(ModelPathInvalid):
        parse_model_path("loras", f"loras/{name}")


@given(st.text(max_size=60))
def test_parse_model_path_any_accepted_text_is_safe_on_every_platform(text: str) -> None:
    try:
        path = parse_model_path("loras", f"loras/{text}")
    except ModelPathInvalid:
        return
    assert unicodedata.normalize("NFC", path.relative) == path.relative
    for segment in path.relative.split("/"):
        assert segment.strip(". ") == segment != ""
        assert not set(segment) & set('\\:*?"<>|\x00\n\r')
    # A key is a fixed point: compared again, it is the same file.
    kind, _, rest = path.key.partition("/")
    assert build_path_key(kind, rest) == path.key


@given(st.from_regex(SOURCE_PATTERN, fullmatch=True))
def test_parse_model_path_any_source_pattern_match_is_accepted_or_rejected(path: str) -> None:
    try:
        parse_model_path("loras", path)
    except ModelPathInvalid:
        return
