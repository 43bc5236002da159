"""The one rule of model paths, against spellings that were generated to break it."""

import itertools
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelyard.wire.paths import SOURCE_PATTERN, PathRefused, checked_path, checked_type, path_key

SEGMENT = "ink"
FILE = "ink.safetensors"

# Each of these is wrong wherever in a path it stands.
BAD_SEGMENTS = [
    *("", ".", "..", "...", " ", "  ", ". .", ".hidden", "hidden.", " a", "a ", "a.", "a. ", " .a"),
    *("a..b", "..a", "a..", "~", "~root", "$HOME", "%2e%2e", "%2f", "..%2f", "a%00b", "a\\b", "..\\..", "C:", "C:x"),
    *("a:b", "a:$DATA", "a*", "a?", 'a"', "a<b", "a>b", "a|b", "a\nb", "a\n", "\na", "a\r", "a\tb", "a\x00b", "a\x7f"),
    *("a\u202eb", "a\u200bb", "\ufeffa", "a\u2028b", "a\u2044b", "a\uff0fb", "a\u2215b", "\uff0e\uff0e", "a\ud800"),
    *("a(b)", "a[b]", "a+b", "a&b", "a'b", "a;b", "a`b", "a!b", "a#b", "a@b", "a=b", "a,b", "a{b}", "a^b"),
    *("e\u0301", "a\u030a", "\u1100\u1161", "\u212b", "x" * 121, "é" * 61, "模" * 41),
]
DEVICES = ["CON", "PRN", "AUX", "NUL", "COM1", "COM9", "COM0", "LPT1", "LPT9", "COM¹", "LPT³"]
BAD_SEGMENTS += [f"{device}{tail}" for device in DEVICES for tail in ("", ".safetensors", ".tar.gz")]
BAD_SEGMENTS += [device.lower() for device in DEVICES] + ["Con.txt", "nul .txt"]
WHOLE = [
    *("", "/", "//", "ink", "loras", "loras/", "/loras/ink", "models", "models/", "models/loras", "models/loras/"),
    *("models//loras/ink", "models/models/loras/ink", "Models/loras/ink", "./loras/ink", "../loras/ink"),
    *("\\loras\\ink", "loras\\ink", "C:/loras/ink", "file:///loras/ink", "//host/loras/ink", "loras/ink/"),
    *("vae/ink", "LORAS/ink", "checkpoints/loras/ink", " loras/ink", "loras/ink\n", "loras/ink\x00", "~/loras/ink"),
    *("/models/loras/ink", "custom_nodes/ink", "loras/" + "a/" * 7 + "ink", "loras/" + "/".join(["x" * 110] * 4)),
]
PLACES = ("loras/{}", "loras/{}/ink.safetensors", "loras/deep/{}", "models/loras/{}/x")
CORPUS = sorted(
    {place.format(segment) for place, segment in itertools.product(PLACES, BAD_SEGMENTS)} | set(WHOLE), key=repr
)

GOOD = [
    ("loras", f"loras/{FILE}"),
    ("loras", f"models/loras/{FILE}"),
    ("checkpoints", "models/checkpoints/sdxl_base_1.0.safetensors"),
    ("checkpoints", "checkpoints/sd xl/v1.0/Base - final.safetensors"),
    ("loras", "loras/模型/straße.safetensors"),
    ("loras", "loras/a/b/c/d/e/f/ink.gguf"),
    ("loras", "loras/" + "x" * 120),
    ("loras", "loras/console.safetensors"),
    ("loras", "loras/com10.safetensors"),
    ("loras", "loras/my.con.safetensors"),
    ("unet", "unet/flux.safetensors"),
    ("unet", "diffusion_models/flux.safetensors"),
    ("text_encoders", "clip/t5.safetensors"),
    ("my_own_type", "my_own_type/x.bin"),
    ("loras", "loras/models/x.bin"),
]


def test_the_corpus_has_five_hundred_spellings() -> None:
    assert len(CORPUS) >= 500


@pytest.mark.parametrize("path", CORPUS, ids=ascii)
def test_a_spelling_that_some_machine_would_misunderstand_is_refused(path: str) -> None:
    with pytest.raises(PathRefused) as refused:
        checked_path("loras", path)
    assert refused.value.field == "model_path"
    assert str(refused.value)


@pytest.mark.parametrize(("model_type", "path"), GOOD)
def test_a_plain_path_passes_as_it_is(model_type: str, path: str) -> None:
    assert checked_path(model_type, path).relative == path.removeprefix("models/")


@pytest.mark.parametrize("model_type", ["custom_nodes", "configs", "datasets", "fonts", "Configs", "FONTS"])
def test_folders_that_hold_no_models_are_no_types(model_type: str) -> None:
    with pytest.raises(PathRefused) as refused:
        checked_path(model_type, f"{model_type}/x.safetensors")
    assert refused.value.field == "model_type"


@pytest.mark.parametrize(
    "model_type", ["", ".", "..", "a/b", "loras/", "/loras", "con", " loras", "loras ", "a\\b", "a\n"]
)
def test_a_type_is_one_folder_name(model_type: str) -> None:
    with pytest.raises(PathRefused) as refused:
        checked_type(model_type)
    assert refused.value.field == "model_type"


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
def test_two_paths_that_are_one_file_somewhere_have_one_key(one: str, other: str) -> None:
    assert checked_path("loras", one).key == checked_path("loras", other).key


def test_two_names_of_one_folder_have_one_key() -> None:
    assert checked_path("unet", "unet/x.bin").key == checked_path("diffusion_models", "unet/x.bin").key
    assert checked_path("clip", "clip/x.bin").canonical_type == "text_encoders"


def test_two_files_have_two_keys() -> None:
    assert checked_path("loras", "loras/a b.bin").key != checked_path("loras", "loras/a_b.bin").key


@given(st.text(max_size=60))
def test_whatever_passes_is_safe_on_every_machine(text: str) -> None:
    try:
        path = checked_path("loras", f"loras/{text}")
    except PathRefused:
        return
    assert unicodedata.normalize("NFC", path.relative) == path.relative
    for segment in path.relative.split("/"):
        assert segment.strip(". ") == segment != ""
        assert not set(segment) & set('\\:*?"<>|\x00\n\r')
    # A key is a fixed point: compared again, it is the same file.
    kind, _, rest = path.key.partition("/")
    assert path_key(kind, rest) == path.key


@given(st.from_regex(SOURCE_PATTERN, fullmatch=True))
def test_what_the_source_allows_is_judged_and_never_breaks(path: str) -> None:
    try:
        checked_path("loras", path)
    except PathRefused:
        return
