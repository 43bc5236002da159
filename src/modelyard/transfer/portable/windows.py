"""What Python's standard library lacks on Windows: opening files that may be renamed meanwhile, and setting their time.

Reference: learn.microsoft.com, "CreateFileW function", "SetFileTime function" and "Reparse Point Tags".
"""

import sys

if sys.platform == "win32":
    import ctypes
    import errno
    import msvcrt
    import os
    from ctypes import wintypes
    from pathlib import Path

    _GENERIC_READ, _GENERIC_WRITE = 0x80000000, 0x40000000
    # Read, write and delete: without the last, other programs could not rename or remove the open file.
    _SHARE_ALL = 0x1 | 0x2 | 0x4
    _OPEN_REPARSE_POINT, _ATTRIBUTE_NORMAL = 0x00200000, 0x80
    _CREATE_NEW, _OPEN_EXISTING, _OPEN_ALWAYS = 1, 3, 4
    _ATTRIBUTE_REPARSE_POINT = 0x400
    # A reparse tag with this bit names another file or folder: a symbolic link or a junction, but not a cloud file.
    _NAME_SURROGATE = 0x20000000
    # FILETIME counts 100 ns since 1601-01-01.
    _UNIX_EPOCH = 116_444_736_000_000_000

    _kernel = ctypes.WinDLL("kernel32", use_last_error=True)
    _kernel.CreateFileW.restype = wintypes.HANDLE
    _kernel.CreateFileW.argtypes = (
        *(wintypes.LPCWSTR, wintypes.DWORD, wintypes.DWORD, wintypes.LPVOID),
        *(wintypes.DWORD, wintypes.DWORD, wintypes.HANDLE),
    )
    _kernel.CloseHandle.argtypes = (wintypes.HANDLE,)
    _kernel.GetFileInformationByHandleEx.argtypes = (wintypes.HANDLE, ctypes.c_int, wintypes.LPVOID, wintypes.DWORD)
    _ATTRIBUTE_TAG_INFO = 9
    _kernel.SetFileTime.argtypes = (wintypes.HANDLE, *(ctypes.POINTER(wintypes.FILETIME),) * 3)
    _INVALID_HANDLE = ctypes.c_void_p(-1).value

    def open_file(path: Path | str, flags: int) -> int:
        """Open a file as ``os.open`` does, but let others rename and remove it meanwhile, and follow no link.

        Raises:
            OSError: with ELOOP for a symbolic link or a junction.
        """
        handle = _kernel.CreateFileW(
            str(path),
            _get_access(flags),
            _SHARE_ALL,
            None,
            _get_disposition(flags),
            _OPEN_REPARSE_POINT | _ATTRIBUTE_NORMAL,
            None,
        )
        if handle is None or handle == _INVALID_HANDLE:
            raise ctypes.WinError(ctypes.get_last_error())
        try:
            _refuse_link(handle, path)
            descriptor = msvcrt.open_osfhandle(handle, (flags & os.O_APPEND) | os.O_BINARY | os.O_NOINHERIT)
        except OSError:
            _kernel.CloseHandle(handle)
            raise
        # Not by CREATE_ALWAYS, which cannot be used together with _OPEN_REPARSE_POINT.
        if flags & os.O_TRUNC:
            os.ftruncate(descriptor, 0)
        return descriptor

    def is_redirecting(status: os.stat_result) -> bool:
        """Return whether a status, read by ``lstat``, is of a symbolic link, a junction or a mount point."""
        return _is_name_surrogate(status.st_file_attributes, status.st_reparse_tag)

    def set_mtime(descriptor: int, mtime_ns: int) -> None:
        """Set the modification time of an open file, rounded down to 100 ns.

        Raises:
            OSError: the time cannot be set.
        """
        ticks = mtime_ns // 100 + _UNIX_EPOCH
        time = wintypes.FILETIME(ticks & 0xFFFFFFFF, ticks >> 32)
        if not _kernel.SetFileTime(msvcrt.get_osfhandle(descriptor), None, None, ctypes.byref(time)):
            raise ctypes.WinError(ctypes.get_last_error())

    def _refuse_link(handle: int, path: Path | str) -> None:
        """Raise OSError with ELOOP if an open handle is of a link itself; ``fstat`` does not return the reparse tag."""
        attributes_and_tag = (wintypes.DWORD * 2)()
        size = ctypes.sizeof(attributes_and_tag)
        if not _kernel.GetFileInformationByHandleEx(
            handle, _ATTRIBUTE_TAG_INFO, ctypes.byref(attributes_and_tag), size
        ):
            raise ctypes.WinError(ctypes.get_last_error())
        if _is_name_surrogate(*attributes_and_tag):
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))

    def _is_name_surrogate(attributes: int, reparse_tag: int) -> bool:
        """Return whether attributes and reparse tag are of something that names another file or folder."""
        return bool(attributes & _ATTRIBUTE_REPARSE_POINT and reparse_tag & _NAME_SURROGATE)

    def _get_access(flags: int) -> int:
        """Return the access rights for the flags of ``os.open``."""
        if flags & os.O_RDWR:
            return _GENERIC_READ | _GENERIC_WRITE
        return _GENERIC_WRITE if flags & os.O_WRONLY else _GENERIC_READ

    def _get_disposition(flags: int) -> int:
        """Return what to do if the file exists or is missing, for the flags of ``os.open``."""
        if flags & os.O_CREAT:
            if flags & os.O_EXCL:
                return _CREATE_NEW
            return _OPEN_ALWAYS
        return _OPEN_EXISTING
