"""The rule of names that people choose, by the cases that the page's tests share."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from modelyard.wire.models import Tag
from modelyard.wire.schemas import LongName, Name
from modelyard.wire.texts.rules import NAME_PATTERN, NAME_PATTERN_OF_CODE_POINTS, clean_name

CASES = json.loads(Path(__file__).with_name("name_cases.json").read_text(encoding="utf-8"))
NAME_TYPES = pytest.mark.parametrize("name_type", [LongName, Tag, Name], ids=["model name", "tag", "name"])


@pytest.mark.parametrize("name_type", [LongName, Tag], ids=["model name", "tag"])
@pytest.mark.parametrize("text", CASES["accepted"], ids=ascii)
def test_visible_text_with_joiners_and_variation_selectors_is_accepted(name_type: Any, text: str) -> None:
    assert TypeAdapter(name_type).validate_python(text) == text


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
def test_text_of_any_length_is_checked_in_linear_time(name_type: Any) -> None:
    """A match of the pattern would go back from the end again and again, for minutes."""
    with pytest.raises(ValidationError, match="control characters"):
        TypeAdapter(name_type).validate_python("a" * 200_000 + "\n")


@NAME_TYPES
def test_published_pattern_is_the_rule(name_type: Any) -> None:
    assert TypeAdapter(name_type).json_schema()["pattern"] == NAME_PATTERN


@pytest.mark.parametrize("pattern", [NAME_PATTERN, NAME_PATTERN_OF_CODE_POINTS])
def test_patterns_match_names_and_no_others_but_the_published_one_knows_no_character_above_ffff(pattern: str) -> None:
    invisible = [each for each in CASES["invisible"] if pattern != NAME_PATTERN or max(each) <= "\uffff"]
    assert all(re.search(pattern, text) for text in CASES["accepted"])
    assert not any(re.fullmatch(pattern, text) for text in CASES["unreadable"] + invisible)


@pytest.mark.parametrize("pattern", [NAME_PATTERN, NAME_PATTERN_OF_CODE_POINTS])
@pytest.mark.parametrize("text", ["a" * 200_000 + "\n", "\u200b" * 200_000, " " * 100_000 + "a" * 100_000 + "\n"])
def test_patterns_match_in_linear_time(pattern: str, text: str) -> None:
    """A pattern that goes back from the end again and again would take minutes."""
    assert re.fullmatch(pattern, text) is None


@pytest.mark.parametrize(("text", "name"), CASES["cleaned"], ids=ascii)
def test_clean_name_returns_an_accepted_name(text: str, name: str) -> None:
    assert clean_name(text) == name
    assert TypeAdapter(LongName).validate_python(name) == name


def test_clean_name_long_text_is_cut() -> None:
    assert clean_name("é" * 300) == "é" * 255
