"""Sizes that several journeys share."""

MEBIBYTE = 1024 * 1024
# The smallest that a registry takes.
PART_SIZE = 5 * MEBIBYTE
SINGLE_PUT_LIMIT = 32 * MEBIBYTE
