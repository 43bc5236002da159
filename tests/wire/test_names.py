"""The rule of names that people choose, by the cases that the page's tests share."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from modelyard.wire.models import Tag
from modelyard.wire.schemas import LongName, Name
from modelyard.wire.texts.invisible_characters import BLANKS
from modelyard.wire.texts.rules import NAME_PATTERN, NAME_PATTERN_OF_CODE_POINTS, clean_name

CASES = json.loads(Path(__file__).with_name("name_cases.json").read_text(encoding="utf-8"))
NAME_TYPES = pytest.mark.parametrize("name_type", [LongName, Tag, Name], ids=["model name", "tag", "name"])


@pytest.mark.parametrize("name_type", [LongName, Tag], ids=["model name", "tag"])
@pytest.mark.parametrize("text", CASES["accepted"], ids=ascii)
def test_visible_text_with_joiners_and_variation_selectors_is_accepted(name_type: Any, text: str) -> None:
    # Tags are trimmed.
    assert TypeAdapter(name_type).validate_python(text) == (text.strip() if name_type is Tag else text)


@NAME_TYPES
@pytest.mark.parametrize("text", CASES["unreadable"], ids=ascii)
def test_text_with_control_character_or_bidi_override_is_rejected(name_type: Any, text: str) -> None:
    with pytest.raises(ValidationError, match="control characters"):
        TypeAdapter(name_type).validate_python(text)


@NAME_TYPES
@pytest.mark.parametrize("text", CASES["invisible"], ids=ascii)
def test_text_of_blanks_and_invisible_characters_is_rejected(name_type: Any, text: str) -> None:
    with pytest.raises(ValidationError, match="no visible characters"):
        TypeAdapter(name_type).validate_python(text)


@NAME_TYPES
def test_published_pattern_is_the_rule(name_type: Any) -> None:
    assert TypeAdapter(name_type).json_schema()["pattern"] == NAME_PATTERN


PATTERNS = pytest.mark.parametrize(
    "pattern", [NAME_PATTERN, NAME_PATTERN_OF_CODE_POINTS], ids=["published", "of code points"]
)


@PATTERNS
def test_patterns_match_names_and_no_unreadable_texts(pattern: str) -> None:
    assert all(re.fullmatch(pattern, text) for text in CASES["accepted"])
    assert not any(re.fullmatch(pattern, text) for text in CASES["unreadable"])


def test_published_pattern_matches_invisible_texts_only_above_ffff() -> None:
    above = [text for text in CASES["invisible"] if max(text) > "\uffff"]
    assert above
    assert [text for text in CASES["invisible"] if re.fullmatch(NAME_PATTERN, text)] == above
    assert not any(re.fullmatch(NAME_PATTERN_OF_CODE_POINTS, text) for text in CASES["invisible"])


@PATTERNS
def test_patterns_have_one_place_where_the_blanks_end(pattern: str) -> None:
    """So a match never goes back: no character continues the blanks and is also the first visible one."""
    blank, first, rest = re.findall(r"\[.*?\]", pattern)
    assert pattern == f"^{blank}*{first}{rest}*$"
    sample = [*map(chr, range(0x3100)), *map(chr, range(0xD000, 0x10000)), *map(chr, range(0x10000, 0x110000, 0x3D))]
    assert not any(re.match(blank, each) and re.match(first, each) for each in [*sample, *"".join(CASES["invisible"])])


def test_blanks_of_the_pattern_contain_all_blank_letters_and_symbols() -> None:
    blank = NAME_PATTERN_OF_CODE_POINTS[1:].split("*")[0]
    assert [ascii(each) for each in BLANKS if not re.match(blank, each)] == []


@pytest.mark.parametrize(("text", "name"), CASES["cleaned"], ids=ascii)
def test_clean_name_returns_an_accepted_name(text: str, name: str) -> None:
    assert clean_name(text) == name
    assert TypeAdapter(LongName).validate_python(name) == name


def test_clean_name_long_text_is_cut() -> None:
    assert clean_name("é" * 300) == "é" * 255
