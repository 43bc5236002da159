"""The strength rule of new passwords: common ones and ones built from the user's name or address are refused."""

import re
import threading
from collections.abc import Iterable

from modelyard.wire.problems import InvalidRequest

# The third of zxcvbn's five scores: at least a million guesses, which take two weeks at 50 a minute.
MIN_SCORE = 2
# Words that users of this software are likely to choose.
_PRODUCT_WORDS = ("modelyard", "comfyui", "registry")
# The time of an estimate grows with the length and with each symbol that may stand for several letters. So only the
# two ends are estimated, with these symbols replaced by letters: about 60 ms at most.
_ESTIMATED_LENGTH = 32
_LETTERS = str.maketrans("@({[<!|$+%", "acccciistx")
# The library keeps ``user_inputs`` in a global variable, so calls must not overlap.
_lock = threading.Lock()


def check_new_password(password: str, field: str, personal_words: Iterable[str]) -> None:
    """Check that a password is not easily guessed; ``personal_words`` are the user's name, e-mail address and the like.

    Raises:
        InvalidRequest: the password is too weak; the problem names ``field``.
    """
    if _estimate_score(password, [*personal_words, *_PRODUCT_WORDS]) < MIN_SCORE:
        message = "It is easily guessed. A few words that do not belong together are best, without your name or address"
        raise InvalidRequest.for_field(field, message)


def _estimate_score(password: str, words: list[str]) -> int:
    """Return zxcvbn's score, 0 to 4: the better one of the password's first and last 32 characters."""
    # Imported late: the library loads large word lists, which are needed only when a password is chosen.
    from zxcvbn import zxcvbn

    known = [part for word in words for part in _split_word(word)]
    ends = {password[:_ESTIMATED_LENGTH].translate(_LETTERS), password[-_ESTIMATED_LENGTH:].translate(_LETTERS)}
    with _lock:
        return max(int(zxcvbn(end, user_inputs=known)["score"]) for end in ends)


def _split_word(word: str) -> set[str]:
    """Return the text, its parts around "@" and its words, with symbols replaced as in the estimated password.

    Parts of one or two characters are left out.
    """
    parts = {word, *word.split("@"), *re.split(r"[\W_]+", word)}
    return {part.translate(_LETTERS) for part in parts if len(part) > 2}
