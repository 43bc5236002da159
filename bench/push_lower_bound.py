"""The lower bound of a push's duration: the same copying and hashing by a minimal sender and receiver.

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

CHUNK_BYTES = 1 << 20


def receive(listener: socket.socket, target: Path, size: int) -> None:
    """Receive one file on one connection; return when it is hashed and synced to the disk."""
    connection, _ = listener.accept()
    arrived = threading.Semaphore(0)
    with connection, target.open("wb", buffering=0) as file:
        hasher = threading.Thread(target=_hash_received, args=(target, size, arrived))
        hasher.start()
        buffer = memoryview(bytearray(CHUNK_BYTES))
        filled = 0
        remaining = size
        while remaining:
            count = connection.recv_into(buffer[filled:])
            filled += count
            remaining -= count
            if filled == CHUNK_BYTES or not remaining:
                file.write(buffer[:filled])
                filled = 0
                arrived.release()
        hasher.join()
        os.fsync(file.fileno())
        connection.sendall(b"k")


def _hash_received(target: Path, size: int, arrived: threading.Semaphore) -> None:
    """Read the received file back from the page cache as it grows, and hash it with SHA-256 and BLAKE3."""
    sha256, blake3_hash = hashlib.sha256(), blake3()
    with target.open("rb", buffering=0) as file:
        buffer = memoryview(bytearray(CHUNK_BYTES))
        read = 0
        while read < size:
            arrived.acquire()
            chunk_size = min(CHUNK_BYTES, size - read)
            count = 0
            while count < chunk_size:
                count += file.readinto(buffer[count:chunk_size])
            sha256.update(buffer[:count])
            blake3_hash.update(buffer[:count])
            read += count


def send(port: int, source: Path) -> None:
    """Send one file, and hash it in a second thread meanwhile."""
    hasher = threading.Thread(target=_hash_source, args=(source,))
    hasher.start()
    with socket.create_connection(("127.0.0.1", port)) as connection, source.open("rb") as file:
        connection.sendfile(file)
        connection.recv(1)
    hasher.join()


def _hash_source(source: Path) -> None:
    with source.open("rb") as file:
        hashlib.file_digest(file, "sha256")


if __name__ == "__main__":
    # `python -m bench.push_lower_bound send PORT FILE`: sender and receiver are two processes, as with a real push.
    send(int(sys.argv[2]), Path(sys.argv[3]))
