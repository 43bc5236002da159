"""The grammar of searches for models: words and qualifiers such as ``type:loras -tag:"old one" size:>2gb``.

The rules, which the page's own copy follows too (``tests/wire/search_cases.json`` has cases for both):

1. Spaces separate tokens.
2. A token may begin with ``-`` directly before a letter, a digit or ``"``: models that match the rest are excluded.
3. Then the name of a qualifier and ``:`` may follow, in any case. Any other name is an ordinary text.
4. The rest is one or several values, separated by ``|``, of which a model must match one. A value that begins with
   ``"`` and has a later ``"`` before a space, a ``|`` or the end is everything between the two. All others end at the
   next space or ``|``.
5. Spaces around a value are removed, several spaces count as one, and empty and repeated values are left out. A token
   without values filters nothing.
6. Values are compared in full, in any case, but those of ``base:`` without quotes with the first words:
   ``base:flux`` matches "Flux.1" and "Flux.1 D", and ``base:"Flux.1"`` only the first.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, cast, get_args

Qualifier = Literal[
    "type",
    "base",
    "architecture",
    "tag",
    "trigger",
    "by",
    "license",
    "hash",
    "machine",
    "missing",
    "state",
    "is",
    "size",
    "added",
    "unused",
]
# Words have no qualifier.
Key = Qualifier | Literal[""]
QUALIFIERS: tuple[Qualifier, ...] = get_args(Qualifier)
# A model must match all of these; of other qualifiers that are repeated, it must match one.
_SEPARATE_KEYS = frozenset({"", "tag", "size", "added"})

# Of these, a value in quotes is the whole value, and one without quotes its first words.
_KEYS_BY_FIRST_WORDS: frozenset[Key] = frozenset({"base"})

# The characters at which `str.split` splits, without control characters, which names must not have. Written out
# for the reason given in `wire.schemas`.
SPACES = r" \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_BEGINNING = re.compile(rf"(-(?=[^\W_]|\"))?(?:({'|'.join(QUALIFIERS)}):)?", re.IGNORECASE)
_QUOTED = re.compile(rf'"(.*?)"(?=[{SPACES}|]|$)')
_PLAIN = re.compile(rf"[^{SPACES}|]*")
_GAP = re.compile(rf"[{SPACES}]*")


@dataclass(frozen=True)
class SearchToken:
    """One token of a search: its text as typed, and what it means. ``quoted`` has the values that are in quotes."""

    text: str
    key: Key
    values: tuple[str, ...]
    is_negated: bool = False
    quoted: frozenset[str] = frozenset()


@dataclass(frozen=True)
class SearchTerm:
    """A condition that each found model meets: it matches one of the values, or with ``is_negated`` none of them.

    Values are compared in full, those in ``by_first_words`` with the first words.
    """

    key: Key
    values: tuple[str, ...]
    is_negated: bool = False
    by_first_words: frozenset[str] = frozenset()


def split_search(text: str) -> list[SearchToken]:
    """Return the tokens of a search in order; every text has a meaning, see the module."""
    return list(_iterate_tokens(text))


def _iterate_tokens(text: str) -> Iterator[SearchToken]:
    """Yield the tokens of a search in order."""
    position = _skip(_GAP, text, 0)
    while position < len(text):
        begin = position
        beginning = _BEGINNING.match(text, position)
        assert beginning is not None  # noqa: S101 - the expression matches an empty text
        minus, key = beginning.groups()
        read, position = _read_values(text, beginning.end())
        named = cast("Key", (key or "").lower())
        values = tuple(dict.fromkeys(value for value, _ in read))
        quoted = frozenset(values) - {value for value, is_quoted in read if not is_quoted}
        yield SearchToken(text[begin:position], named, values, is_negated=minus is not None, quoted=quoted)
        position = _skip(_GAP, text, position)


def _read_values(text: str, position: int) -> tuple[list[tuple[str, bool]], int]:
    """Return the values that begin at a position, each with whether it is in quotes, and the position after them."""
    read: list[tuple[str, bool]] = []
    while True:
        quoted = _QUOTED.match(text, position)
        end = quoted.end() if quoted else _skip(_PLAIN, text, position)
        value = " ".join((quoted[1] if quoted else text[position:end]).split())
        read += [(value, quoted is not None)] if value else []
        if text[end : end + 1] != "|":
            return read, end
        position = end + 1


def _skip(pattern: re.Pattern[str], text: str, position: int) -> int:
    """Return the position after a pattern that may match an empty text."""
    match = pattern.match(text, position)
    return position if match is None else match.end()


def parse_search(text: str) -> list[SearchTerm]:
    """Return the conditions of a search, each once: those of repeated qualifiers are combined.

    A repeated qualifier adds values. ``tag:``, ``size:`` and ``added:`` add conditions instead, as words and
    exclusions do.
    """
    repeated: dict[Key, list[SearchToken]] = {}
    terms: list[SearchTerm] = []
    for token in split_search(text):
        if not token.values:
            continue
        if token.is_negated or token.key in _SEPARATE_KEYS:
            terms.append(_combine_tokens([token]))
        else:
            repeated.setdefault(token.key, []).append(token)
    terms += [_combine_tokens(tokens) for tokens in repeated.values()]
    return list(dict.fromkeys(terms))


def _combine_tokens(tokens: list[SearchToken]) -> SearchTerm:
    """Return the condition that a model has a value of one of these tokens, which have the same key and sign."""
    key = tokens[0].key
    values = dict.fromkeys(value for token in tokens for value in token.values)
    unquoted = frozenset(value for token in tokens for value in token.values if value not in token.quoted)
    by_first_words = unquoted if key in _KEYS_BY_FIRST_WORDS else frozenset[str]()
    return SearchTerm(key, tuple(values), tokens[0].is_negated, by_first_words)


def quote_word(word: str) -> str:
    """Return a text in quotes, as it is written in a search for exactly this text, whatever it looks like."""
    return f'"{word}"'


def quote_value(value: str) -> str:
    """Return a value as it is written in a search, in quotes if it needs them.

    A value that has ``"`` before a space or a ``|`` cannot be written; it comes back cut there.
    """
    is_plain = _PLAIN.fullmatch(value) is not None and not value.startswith('"') and value != ""
    return value if is_plain else f'"{value}"'


def write_condition(key: Qualifier, value: str) -> str:
    """Return a qualifier as it is written in a search for models with exactly this value."""
    return f"{key}:{quote_word(value) if key in _KEYS_BY_FIRST_WORDS else quote_value(value)}"
