"""A case-insensitive FUSE file system, as on Windows and macOS: ``Ink.sft`` and ``ink.sft`` are one name.

    python -m tests.sync.case_insensitive_mount BACKING POINT

serves the folder BACKING at POINT until it is killed. It keeps the spelling of created names. The structures
are those of Linux's `include/uapi/linux/fuse.h`.
"""

import ctypes
import errno
import os
import stat
import struct
import subprocess
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_HEADER, _ATTRIBUTES = struct.Struct("<IIQQIIIHH"), struct.Struct("<6Q10I")
_SETATTR, _READ, _WRITE = struct.Struct("<IIQQQQQQIIIIIIII"), struct.Struct("<QQIIQII"), struct.Struct("<QQIIQII")
_SIZE, _ATIME, _MTIME, _MODE, _BY_HANDLE, _ATIME_NOW, _MTIME_NOW = 8, 16, 32, 1, 64, 128, 256
_NO_REPLACE, _DETACH = 1, 2


@contextmanager
def case_insensitive_mount(folder: Path) -> Iterator[None]:
    """Mount a case-insensitive file system at ``folder`` while the block runs; skips the test without root."""
    backing = folder.with_name(f"{folder.name}.backing")
    backing.mkdir()
    server = subprocess.Popen(
        [sys.executable, "-m", __name__, backing, folder],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    assert server.stderr is not None
    try:
        if server.stdout.readline() != "mounted\n":
            pytest.skip(f"mounting by FUSE needs root and /dev/fuse: {server.stderr.read().strip()[-200:]}")
        yield
    finally:
        ctypes.CDLL(None).umount2(os.fsencode(folder), _DETACH)
        server.kill()
        server.communicate()


def _fold_case(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


class CaseInsensitiveFileSystem:
    """Answers FUSE requests one after the other; an ``OSError`` of a method becomes the error of the response."""

    def __init__(self, backing: Path) -> None:
        self.paths = {1: backing}
        self.nodes = {backing: 1}
        self.listings: dict[int, bytes] = {}
        self.answers = {
            1: self.lookup, 3: self.getattr, 4: self.setattr, 5: self.readlink, 6: self.symlink, 9: self.mkdir,
            10: self.unlink, 11: self.rmdir, 12: self.rename, 13: self.link, 14: self.open, 15: self.read,
            16: self.write, 17: self.statfs, 18: self.release, 20: self.fsync, 25: self.nothing, 26: self.init,
            27: self.opendir, 28: self.readdir, 29: self.releasedir, 30: self.nothing, 34: self.nothing,
            35: self.create, 45: self.rename2,
        }  # fmt: skip

    def answer(self, opcode: int, node: int, body: bytes) -> bytes:
        if opcode not in self.answers:
            raise OSError(errno.ENOSYS, "not needed here")
        return self.answers[opcode](node, body)

    def spelled(self, node: int, name: bytes) -> Path:
        """Return the path of a name in a folder, as it is spelled there; as requested if it does not exist."""
        folder, asked = self.paths[node], os.fsdecode(name.rstrip(b"\0"))
        same = [known for known in os.listdir(folder) if _fold_case(known) == _fold_case(asked)]  # noqa: PTH208 names are what is asked for
        return folder / (same[0] if same else asked)

    def new(self, node: int, name: bytes) -> Path:
        path = self.spelled(node, name)
        if os.path.lexists(path):
            raise OSError(errno.EEXIST, "there")
        return path

    def attributes(self, status: os.stat_result) -> bytes:
        times = (status.st_atime_ns, status.st_mtime_ns, status.st_ctime_ns)
        seconds, rests = [time // 10**9 for time in times], [time % 10**9 for time in times]
        owner = status.st_mode, status.st_nlink, status.st_uid, status.st_gid
        return _ATTRIBUTES.pack(status.st_ino, status.st_size, status.st_blocks, *seconds, *rests, *owner, 0, 4096, 0)

    def entry(self, path: Path) -> bytes:
        status = path.lstat()
        node = self.nodes.setdefault(path, len(self.nodes) + 2)
        self.paths[node] = path
        return struct.pack("<4Q2I", node, 0, 0, 0, 0, 0) + self.attributes(status)

    def init(self, _: int, body: bytes) -> bytes:
        readahead = struct.unpack_from("<I", body, 8)[0]
        return struct.pack("<IIIIHHIIHHI28x", 7, 31, readahead, 0, 8, 6, 131072, 1, 32, 0, 0)

    def nothing(self, _: int, __: bytes) -> bytes:
        return b""

    def lookup(self, node: int, body: bytes) -> bytes:
        return self.entry(self.spelled(node, body))

    def getattr(self, node: int, _: bytes) -> bytes:
        return bytes(16) + self.attributes(self.paths[node].lstat())

    def setattr(self, node: int, body: bytes) -> bytes:
        valid, _, handle, size, _, atime, mtime, _, atime_ns, mtime_ns, _, mode, *_ = _SETATTR.unpack_from(body)
        place = handle if valid & _BY_HANDLE else self.paths[node]
        if valid & _SIZE:
            os.truncate(place, size)
        if valid & _MODE:
            os.chmod(place, stat.S_IMODE(mode))  # noqa: PTH101 a descriptor, perhaps
        if valid & (_ATIME | _MTIME):
            status = os.stat(place)  # noqa: PTH116 a descriptor, perhaps
            moments = atime * 10**9 + atime_ns, mtime * 10**9 + mtime_ns
            kept = moments[0] if valid & _ATIME else status.st_atime_ns, moments[1]
            if valid & (_ATIME_NOW | _MTIME_NOW):
                os.utime(place)
            else:
                os.utime(place, ns=kept)
        return bytes(16) + self.attributes(os.lstat(place) if isinstance(place, Path) else os.fstat(place))

    def readlink(self, node: int, _: bytes) -> bytes:
        return os.fsencode(self.paths[node].readlink())

    def symlink(self, node: int, body: bytes) -> bytes:
        name, target, _ = body.split(b"\0")
        path = self.new(node, name)
        path.symlink_to(os.fsdecode(target))
        return self.entry(path)

    def mkdir(self, node: int, body: bytes) -> bytes:
        path = self.new(node, body[8:])
        path.mkdir()
        return self.entry(path)

    def unlink(self, node: int, body: bytes) -> bytes:
        self.spelled(node, body).unlink()
        return b""

    def rmdir(self, node: int, body: bytes) -> bytes:
        self.spelled(node, body).rmdir()
        return b""

    def rename(self, node: int, body: bytes) -> bytes:
        return self._rename(node, struct.unpack_from("<Q", body)[0], body[8:], 0)

    def rename2(self, node: int, body: bytes) -> bytes:
        to, flags = struct.unpack_from("<QI", body)
        return self._rename(node, to, body[16:], flags)

    def _rename(self, node: int, to: int, names: bytes, flags: int) -> bytes:
        if flags & ~_NO_REPLACE:
            raise OSError(errno.EINVAL, "no exchange here, as on many such mounts")
        old_name, new_name, _ = names.split(b"\0")
        old, taken = self.spelled(node, old_name), self.spelled(to, new_name)
        if flags & _NO_REPLACE and os.path.lexists(taken) and taken != old:
            raise OSError(errno.EEXIST, "there")
        new = self.paths[to] / os.fsdecode(new_name)
        if os.path.lexists(taken) and taken not in (old, new):
            taken.unlink()
        old.rename(new)
        for known, path in list(self.paths.items()):
            if path.is_relative_to(old):
                self.nodes.pop(path, None)
                self.paths[known] = new / path.relative_to(old)
                self.nodes[self.paths[known]] = known
        return b""

    def link(self, node: int, body: bytes) -> bytes:
        path = self.new(node, body[8:])
        os.link(self.paths[struct.unpack_from("<Q", body)[0]], path, follow_symlinks=False)
        return self.entry(path)

    def open(self, node: int, body: bytes) -> bytes:
        flags = struct.unpack_from("<I", body)[0]
        kept = flags & (os.O_ACCMODE | os.O_TRUNC | os.O_APPEND)
        return struct.pack("<QII", os.open(self.paths[node], kept), 0, 0)

    def create(self, node: int, body: bytes) -> bytes:
        flags, mode = struct.unpack_from("<II", body)
        path = self.spelled(node, body[16:])
        descriptor = os.open(path, (flags & (os.O_ACCMODE | os.O_EXCL)) | os.O_CREAT, stat.S_IMODE(mode))
        return self.entry(path) + struct.pack("<QII", descriptor, 0, 0)

    def read(self, _: int, body: bytes) -> bytes:
        handle, offset, size = _READ.unpack_from(body)[:3]
        return os.pread(handle, size, offset)

    def write(self, _: int, body: bytes) -> bytes:
        handle, offset, size = _WRITE.unpack_from(body)[:3]
        return struct.pack("<II", os.pwrite(handle, body[_WRITE.size : _WRITE.size + size], offset), 0)

    def statfs(self, node: int, _: bytes) -> bytes:
        space = os.statvfs(self.paths[node])
        counts = space.f_blocks, space.f_bfree, space.f_bavail, space.f_files, space.f_ffree
        return struct.pack("<5Q4I24x", *counts, space.f_bsize, space.f_namemax, space.f_frsize, 0)

    def release(self, _: int, body: bytes) -> bytes:
        os.close(struct.unpack_from("<Q", body)[0])
        return b""

    def fsync(self, _: int, body: bytes) -> bytes:
        os.fsync(struct.unpack_from("<Q", body)[0])
        return b""

    def opendir(self, node: int, _: bytes) -> bytes:
        listing = b""
        for entry in os.scandir(self.paths[node]):
            name, status = os.fsencode(entry.name), entry.stat(follow_symlinks=False)
            length = 24 + (len(name) + 7) // 8 * 8
            kind = stat.S_IFMT(status.st_mode) >> 12
            record = struct.pack("<QQII", status.st_ino, len(listing) + length, len(name), kind) + name
            listing += record.ljust(length, b"\0")
        handle = max(self.listings, default=0) + 1
        self.listings[handle] = listing
        return struct.pack("<QII", handle, 0, 0)

    def readdir(self, _: int, body: bytes) -> bytes:
        handle, offset, size = _READ.unpack_from(body)[:3]
        listing, end = self.listings[handle], offset
        while end < len(listing):
            following = struct.unpack_from("<Q", listing, end + 8)[0]
            if following - offset > size:
                break
            end = following
        return listing[offset:end]

    def releasedir(self, _: int, body: bytes) -> bytes:
        del self.listings[struct.unpack_from("<Q", body)[0]]
        return b""


def serve(backing: Path, point: Path) -> None:
    """Mount the file system and answer requests until it is unmounted."""
    libc = ctypes.CDLL(None, use_errno=True)
    device = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={device},rootmode=40000,user_id={os.getuid()},group_id={os.getgid()}".encode()
    if libc.mount(b"folding", os.fsencode(point), b"fuse", 0, options) != 0:
        sys.exit(os.strerror(ctypes.get_errno()))
    sys.stdout.write("mounted\n")
    sys.stdout.flush()
    folding = CaseInsensitiveFileSystem(backing)
    while True:
        request = os.read(device, 1 << 18)
        opcode, unique, node = _HEADER.unpack_from(request)[1:4]
        if opcode in (2, 36, 42):  # forget and interrupt want no answer
            continue
        code, answer = 0, b""
        try:
            answer = folding.answer(opcode, node, request[_HEADER.size :])
        except OSError as failure:
            code = -(failure.errno or errno.EIO)
        os.write(device, struct.pack("<IiQ", 16 + len(answer), code, unique) + answer)


if __name__ == "__main__":
    serve(Path(sys.argv[1]), Path(sys.argv[2]))
