"""The exit codes of commands.

0 ok   1 other   2 usage   3 not signed in   4 refused   5 unreachable   6 bytes wrong   124 timed out   130 interrupted
"""

from collections.abc import Mapping

OTHER, USAGE, NOT_SIGNED_IN, REFUSED, UNREACHABLE, BYTES_WRONG = 1, 2, 3, 4, 5, 6

# The exit code and remedies of each class of failures.
Table = Mapping[type[BaseException], tuple[int, tuple[str, ...]]]
