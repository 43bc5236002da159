"""The part size and multipart threshold of the journeys' registries, in bytes."""

MEBIBYTE = 1024 * 1024
# The smallest part size that a registry accepts.
PART_SIZE = 5 * MEBIBYTE
SINGLE_PUT_LIMIT = 32 * MEBIBYTE
