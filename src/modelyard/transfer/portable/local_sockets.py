"""Sockets in the file system that only one user can open. POSIX only."""

import hashlib
import os
import socket
import stat
import struct
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

# Linux allows 108 bytes with the final zero, macOS and the BSDs 104.
MAX_SOCKET_PATH_BYTES = 103

if sys.platform == "win32":

    def open_private_socket(path: Path, max_waiting: int) -> socket.socket:
        """Raise OSError: not supported on Windows."""
        raise OSError(f'"{path}" cannot be opened with room for {max_waiting}: Windows is not supported.')

    def remove_private_socket(path: Path) -> None:
        """Do nothing: no socket was opened."""

else:

    def open_private_socket(path: Path, max_waiting: int) -> socket.socket:
        """Return a listening socket at ``path``, with mode 0600, in place of one that a killed process left there.

        If the path is too long for a socket, it becomes a link to one in a private folder of the user with a short
        path. The caller ensures that the folder of ``path`` is private, and that no other process of the user listens
        there.

        Raises:
            OSError: the path is that of another file or cannot be written, or no folder is private; also on Windows.
        """
        with suppress(FileNotFoundError):
            mode = path.lstat().st_mode
            if not stat.S_ISSOCK(mode) and not stat.S_ISLNK(mode):
                raise OSError(f'"{path}" is not a socket.')
        if len(os.fsencode(path)) <= MAX_SOCKET_PATH_BYTES:
            return _listen(path, max_waiting)
        short = _create_short_folder(path) / path.name
        listener = _listen(short, max_waiting)
        try:
            draft = _get_draft(path)
            draft.symlink_to(short)
            draft.replace(path)
        except BaseException:
            listener.close()
            raise
        return listener

    def remove_private_socket(path: Path) -> None:
        """Remove what ``open_private_socket`` made at ``path``; failures are ignored.

        What a link leads to stays unless it is in private folders: after a reboot, others may have created them.
        """
        with suppress(OSError):
            if path.is_symlink():
                target = path.parent / path.readlink()
                for folder in (target.parent.parent, target.parent):
                    _check_is_private(folder)
                target.unlink(missing_ok=True)
                target.parent.rmdir()
        with suppress(OSError):
            path.unlink()

    def _listen(path: Path, max_waiting: int) -> socket.socket:
        """Create a socket with mode 0600 that listens at ``path``, in place of one that is there, and return it.

        Raises:
            OSError: it cannot be created there.
        """
        # Named once it listens, so that no client finds a socket that refuses connections.
        draft = _get_draft(path)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listener.bind(str(draft))
            draft.chmod(0o600)
            listener.listen(max_waiting)
            draft.replace(path)
            listener.setblocking(False)
        except BaseException:
            listener.close()
            raise
        return listener

    def _get_draft(path: Path) -> Path:
        """Return a path beside ``path``, not longer than it, after deleting what is there."""
        draft = path.with_name("new")
        draft.unlink(missing_ok=True)
        return draft

    def _create_short_folder(path: Path) -> Path:
        """Create a private folder for the socket of ``path``; a repeated call returns the same folder.

        It is below the user's runtime folder if that is private, or else below the folder for temporary files, in one
        of the user's own: there, others can create folders of any name. After ``su``, the runtime folder may be that of
        another user.

        Raises:
            OSError: no such folder has a short path, or belongs to the user alone.
        """
        name = hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
        failure = OSError(f'The path "{path}" is longer than the {MAX_SOCKET_PATH_BYTES} bytes that a socket may have.')
        for folder in _list_own_folders():
            if len(os.fsencode(folder / name / path.name)) > MAX_SOCKET_PATH_BYTES:
                continue
            try:
                _create_private(folder)
                _create_private(folder / name)
            except OSError as error:
                failure = error
            else:
                return folder / name
        raise failure

    def _list_own_folders() -> list[Path]:
        """Return where folders for sockets with short paths may be created, the best place first."""
        folders = [Path(tempfile.gettempdir()) / f"modelyard-{os.getuid()}"]
        runtime = Path(os.environ.get("XDG_RUNTIME_DIR", ""))
        if runtime.is_absolute():
            with suppress(OSError):
                _check_is_private(runtime)
                folders.insert(0, runtime / "modelyard")
        return folders

    def _create_private(folder: Path) -> None:
        """Create a private folder unless it is there.

        Raises:
            OSError: it cannot be created, or is not private.
        """
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        _check_is_private(folder)

    def _check_is_private(folder: Path) -> None:
        """Check that only this user has access to a folder.

        Raises:
            OSError: it is another user's, a link, or open to others.
        """
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
            raise OSError(
                f'"{folder}" is not a folder that only this user can open. Remove it, or set its mode to 0700.'
            )


if sys.platform == "linux":
    # pid as an int, uid and gid as unsigned ints: a uid may be 2**31 or more.
    CREDENTIALS = struct.Struct("iII")

    def is_other_user(connection: socket.socket) -> bool:
        """Return whether another user than this process's opened a connection.

        False where the system does not tell: then only the modes of the folder and the socket keep others away.
        """
        raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size)
        _, uid, _ = CREDENTIALS.unpack(raw)
        return bool(uid != os.getuid())

else:

    def is_other_user(connection: socket.socket) -> bool:  # noqa: ARG001 - the system does not tell
        """Return False, since the modes of the folder and the socket keep other users away."""
        return False
