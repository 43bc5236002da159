"""The memory of the server: freed memory goes back to the system, and what was loaded is not collected again."""

import ctypes
import gc
import threading
import time

# A trim of some hundred MiB takes about a millisecond, and no lock of the interpreter.
TRIM_SECONDS = 10.0


def exclude_loaded_objects_from_collection() -> None:
    """Exclude all objects that exist now from cyclic garbage collection, which takes 0.2 s and stops all threads."""
    gc.collect()
    gc.freeze()


def keep_memory_trimmed() -> None:
    """Start a thread that returns freed memory to the system every ten seconds (glibc; elsewhere without effect).

    glibc keeps freed blocks of up to 32 MiB once it has seen such: a process would keep the size of its busiest moment.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is None:
        return

    def trim_repeatedly() -> None:
        """Trim every ten seconds, for ever."""
        while True:
            time.sleep(TRIM_SECONDS)
            trim(0)

    threading.Thread(target=trim_repeatedly, name="memory", daemon=True).start()
