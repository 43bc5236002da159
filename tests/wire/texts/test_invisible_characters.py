import re

import pytest
from pydantic import BaseModel, ValidationError

from modelyard.wire.schemas import EmailAddress, Name
from modelyard.wire.texts.invisible_characters import has_invisible_characters, replace_unprintable
from modelyard.wire.texts.rules import EMAIL_PATTERN

HIDDEN = {
    "zero width space": "\u200b",
    "zero width non-joiner": "\u200c",
    "zero width joiner": "\u200d",
    "word joiner": "\u2060",
    "invisible plus": "\u2064",
    "byte order mark": "\ufeff",
    "soft hyphen": "\u00ad",
    "grapheme joiner": "\u034f",
    "right-to-left override": "\u202e",
    "right-to-left isolate": "\u2067",
    "right-to-left mark": "\u200f",
    "Arabic letter mark": "\u061c",
    "Mongolian vowel separator": "\u180e",
    "Hangul filler": "\u3164",
    "half-width filler": "\uffa0",
    "blank of Braille": "\u2800",
    "annotation anchor": "\ufff9",
    "tag letter": "\U000e0061",
}
READABLE = ["Ada Lovelace", "José", "Ж", "日本 studio", "O'Neil-2"]
JOINED = [
    "می\u200cخواهم",
    "क्\u200dष",
    "👩\u200d🚀",
    "❤\ufe0f\u200d🔥",
    "👩🏽\u200d🚀",
    "🏳\ufe0f\u200d🌈",
    "🏴\u200d☠\ufe0f",
]


def build_flag(code: str, end: str = "\U000e007f") -> str:
    """Return a black flag with tags, as emoji of subdivisions are written."""
    return "🏴" + "".join(chr(0xE0000 + ord(letter)) for letter in code) + end


FLAGS = [build_flag("gbeng"), f"Studio {build_flag('gbsct')}", build_flag("gbwls") * 2, "🇩🇪"]
# Fonts show the black flag alone, or with something else.
NO_FLAGS = [build_flag("gbxyz"), build_flag("gbeng", ""), build_flag(""), build_flag("gbeng") + "\U000e0061"]


class Person(BaseModel):
    name: Name = "x"
    email: EmailAddress = "x@y"


@pytest.mark.parametrize("hidden", HIDDEN.values(), ids=HIDDEN.keys())
def test_names_and_addresses_with_invisible_character_are_rejected(hidden: str) -> None:
    for text in (f"ad{hidden}a", f"{hidden}ada", f"ada{hidden}"):
        assert has_invisible_characters(text)
        with pytest.raises(ValidationError, match=r"invisible|direction"):
            Person(name=text)
        with pytest.raises(ValidationError):
            Person(email=f"{text}@studio.example")
        with pytest.raises(ValidationError):
            Person(email=f"ada@{text}.example")


@pytest.mark.parametrize("name", NO_FLAGS, ids=ascii)
def test_names_with_tags_that_make_no_flag_are_rejected(name: str) -> None:
    assert has_invisible_characters(name)
    with pytest.raises(ValidationError, match="invisible"):
        Person(name=name)


@pytest.mark.parametrize("name", [*READABLE, *JOINED, *FLAGS])
def test_replace_unprintable_keeps_what_belongs_to_visible_characters(name: str) -> None:
    assert replace_unprintable(name, lambda _: "?") == name


@pytest.mark.parametrize("hidden", HIDDEN.values(), ids=HIDDEN.keys())
def test_replace_unprintable_replaces_invisible_characters(hidden: str) -> None:
    assert replace_unprintable(f"ad{hidden}a", lambda _: "?") == "ad?a"


@pytest.mark.parametrize("name", [*READABLE, *JOINED, *FLAGS])
def test_names_in_all_scripts_and_emoji_are_accepted(name: str) -> None:
    assert Person(name=name).name == name


@pytest.mark.parametrize("hidden", [text for text in HIDDEN.values() if ord(text) < 0x10000])
def test_email_pattern_in_openapi_excludes_invisible_characters(hidden: str) -> None:
    assert re.fullmatch(EMAIL_PATTERN, f"ad{hidden}a@studio.example") is None
    assert re.fullmatch(EMAIL_PATTERN, "ada@studio.example") is not None
