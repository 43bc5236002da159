"""The limit for a push: the same work without a product around it.

A sender hashes a file (SHA-256, in a second thread) while it sends it with ``sendfile`` over one loopback connection; a
receiver writes it, hashes what it wrote (SHA-256 and BLAKE3, in a second thread through the page cache) and syncs it.
"""

import hashlib
import os
import socket
import sys
import threading
from pathlib import Path

from blake3 import blake3

PIECE = 1 << 20


def receive(listener: socket.socket, target: Path, size: int) -> None:
    """Take one file from one connection; returns when it is hashed and on the disk."""
    connection, _ = listener.accept()
    arrived = threading.Semaphore(0)
    with connection, target.open("wb", buffering=0) as file:
        hasher = threading.Thread(target=_follow, args=(target, size, arrived))
        hasher.start()
        buffer = memoryview(bytearray(PIECE))
        filled = 0
        remaining = size
        while remaining:
            count = connection.recv_into(buffer[filled:])
            filled += count
            remaining -= count
            if filled == PIECE or not remaining:
                file.write(buffer[:filled])
                filled = 0
                arrived.release()
        hasher.join()
        os.fsync(file.fileno())
        connection.sendall(b"k")


def _follow(target: Path, size: int, arrived: threading.Semaphore) -> None:
    sha256, other = hashlib.sha256(), blake3()
    with target.open("rb", buffering=0) as file:
        buffer = memoryview(bytearray(PIECE))
        read = 0
        while read < size:
            arrived.acquire()
            wanted = min(PIECE, size - read)
            count = 0
            while count < wanted:
                count += file.readinto(buffer[count:wanted])
            sha256.update(buffer[:count])
            other.update(buffer[:count])
            read += count


def send(port: int, source: Path) -> None:
    """Send one file, hashing it beside."""
    hasher = threading.Thread(target=_hash, args=(source,))
    hasher.start()
    with socket.create_connection(("127.0.0.1", port)) as connection, source.open("rb") as file:
        connection.sendfile(file)
        connection.recv(1)
    hasher.join()


def _hash(source: Path) -> None:
    with source.open("rb") as file:
        hashlib.file_digest(file, "sha256")


if __name__ == "__main__":
    # As `python -m bench.limit send PORT FILE`, so that sender and receiver are two processes, as in life.
    send(int(sys.argv[2]), Path(sys.argv[3]))
