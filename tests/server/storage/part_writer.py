"""A process that writes parts in a loop and reports them, or writes one object and reports the result.

    part_writer.py <root> parts <key> <upload> <part size> <part count>
    part_writer.py <root> whole <key> <size>
    part_writer.py <root> part <key> <upload> <size>

A part repeats one 16-byte token, so that a test can see whether it is whole and which write it is from.
"""

import random
import secrets
import sys
from pathlib import Path

from modelyard.server.storage.blob_store import NamedPart, StoreError
from modelyard.server.storage.local.folder import lock_folder
from modelyard.server.storage.local.object_writer import ObjectWriter
from modelyard.server.storage.local.store import LocalStore

SECRET = bytes(32)


def opened(root: Path) -> LocalStore:
    """Open the store in a folder, with the secret that this process and its test share."""
    return LocalStore(root, SECRET)


def print_line(*words: object) -> None:
    """Print words as one line at once."""
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


def fill(writer: ObjectWriter, token: str, size: int) -> None:
    """Write the token repeatedly, in pieces, as a client would."""
    piece = (token * (size // 16)).encode()
    for position in range(0, size, 1 << 16):
        writer.write([piece[position : position + (1 << 16)]])


def write_parts(store: LocalStore, key: str, upload: str, part_size: int, count: int) -> None:
    """Write random parts until killed; print a line before and after each."""
    rng = random.Random()
    while True:
        number, token = rng.randint(1, count), secrets.token_hex(8)
        print_line("begin", number)
        writer = store.open_part_writer(key, upload, number)
        fill(writer, token, part_size)
        writer.commit()
        print_line("done", number, token)


def write_part(store: LocalStore, key: str, upload: str, number: int, body: bytes) -> NamedPart:
    """Write one part; return it as named for the completion."""
    writing = store.open_part_writer(key, upload, number)
    writing.write([body])
    return NamedPart(number, writing.commit())


def write_once(writer: ObjectWriter, size: int) -> None:
    """Write one object or part and print its etag."""
    fill(writer, "0123456789abcdef", size)
    print_line("done", writer.commit())


def main(root: str, mode: str, key: str, *rest: str) -> None:
    with lock_folder(Path(root)):
        store = opened(Path(root))
        try:
            if mode == "parts":
                write_parts(store, key, rest[0], int(rest[1]), int(rest[2]))
            elif mode == "whole":
                write_once(store.open_whole_writer(key, int(rest[0]), None), int(rest[0]))
            else:
                write_once(store.open_part_writer(key, rest[0], 1), int(rest[1]))
        except StoreError as error:
            print_line("failed", type(error).__name__)
        store.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
