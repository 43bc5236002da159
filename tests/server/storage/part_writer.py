"""A process that writes parts for ever and says what it did, or writes one thing and says how that ended.

    part_writer.py <root> parts <key> <upload> <part size> <part count>
    part_writer.py <root> whole <key> <size>
    part_writer.py <root> part <key> <upload> <size>

A part holds one 16-byte token over and over, so that anybody can see whether it is whole and whose it is.
"""

import random
import secrets
import sys
from pathlib import Path

from modelyard.server.storage.blob_store import StoreError
from modelyard.server.storage.folder import lock
from modelyard.server.storage.local import LocalStore
from modelyard.server.storage.writing import Writing

SECRET = bytes(32)


def say(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


def fill(writing: Writing, token: str, size: int) -> None:
    """Write the token over and over, in pieces, as a client would."""
    piece = (token * (size // 16)).encode()
    for at in range(0, size, 1 << 16):
        writing.write([piece[at : at + (1 << 16)]])


def write_parts(store: LocalStore, key: str, upload: str, part_size: int, count: int) -> None:
    chosen = random.Random()
    while True:
        number, token = chosen.randint(1, count), secrets.token_hex(8)
        say("begin", number)
        writing = store.write_part(key, upload, number)
        fill(writing, token, part_size)
        writing.commit()
        say("done", number, token)


def write_once(writing: Writing, size: int) -> None:
    fill(writing, "0123456789abcdef", size)
    say("done", writing.commit())


def main(root: str, what: str, key: str, *rest: str) -> None:
    with lock(Path(root)):
        store = LocalStore(Path(root), SECRET)
        try:
            if what == "parts":
                write_parts(store, key, rest[0], int(rest[1]), int(rest[2]))
            elif what == "whole":
                write_once(store.write_whole(key, int(rest[0]), None), int(rest[0]))
            else:
                write_once(store.write_part(key, rest[0], 1), int(rest[1]))
        except StoreError as error:
            say("failed", type(error).__name__)
        store.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
