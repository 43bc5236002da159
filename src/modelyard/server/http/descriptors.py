"""The limit on open files and sockets of this process, and the number of connections that it allows."""

import logging
import resource

# What the process asks for at its start; the usual soft limit of 1,024 is there for programs that call select().
WANTED_DESCRIPTORS = 65_536
# The database's connections, those to the store, logs, and what jobs read.
RESERVED_DESCRIPTORS = 200
# Beyond this many, memory would be the limit.
MAX_CONNECTIONS = 8_192
FEW_CONNECTIONS = 1_000

log = logging.getLogger("modelyard.http")


def raise_max_connections() -> int:
    """Raise this process's limit on open files as far as allowed; return the number of connections that it allows."""
    return compute_max_connections(raise_descriptor_limit())


def raise_descriptor_limit() -> int:
    """Raise the soft limit on open files to 65,536 or as far as allowed; return it, or 65,536 if there is none."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    desired = WANTED_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, WANTED_DESCRIPTORS)
    if soft == resource.RLIM_INFINITY or soft >= desired:
        return WANTED_DESCRIPTORS if soft == resource.RLIM_INFINITY else soft
    resource.setrlimit(resource.RLIMIT_NOFILE, (desired, hard))
    return desired


def compute_max_connections(descriptors: int) -> int:
    """Return the maximum number of connections for this many descriptors, at least 16 and at most ``MAX_CONNECTIONS``.

    Each connection may need a second descriptor, for a file. A warning is logged below ``FEW_CONNECTIONS``.
    """
    most = min(MAX_CONNECTIONS, max(16, (descriptors - RESERVED_DESCRIPTORS) // 2))
    if most < FEW_CONNECTIONS:
        log.warning(
            "few open files allowed: raise the limit of this process (LimitNOFILE in systemd, ulimit -n in a shell)",
            extra={"descriptors": descriptors, "connections": most},
        )
    return most
