"""Connections that transfers one after the other share."""

from collections.abc import Iterator
from contextlib import contextmanager

from modelyard.transfer.http.connection import Connection
from modelyard.transfer.options import TransferOptions


@contextmanager
def open_connection(options: TransferOptions) -> Iterator[Connection]:
    """Yield a connection, which is opened by its first request where it is not open; close it after the block.

    With ``options.idle_connections`` it comes from there, and goes back unless the block raised or stopped it.
    """
    idle = options.idle_connections
    taken = None if idle is None else idle.take()
    connection = taken if isinstance(taken, Connection) else Connection(options)
    is_reusable = False
    try:
        yield connection
        is_reusable = not connection.is_stopped
    finally:
        if idle is not None and is_reusable:
            idle.give_back(connection)
        else:
            connection.close()
