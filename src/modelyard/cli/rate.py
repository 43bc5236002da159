"""``--limit-rate``: how much of the line a transfer may take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from modelyard.client.sizes import size_of

if TYPE_CHECKING:
    from modelyard.transfer.network import Network

LimitRate = Annotated[
    str | None, typer.Option("--limit-rate", metavar="SIZE", help="At most so much a second, such as 20MB.")
]


def network_of(limit_rate: str | None) -> Network:
    """The network as transfers should treat it.

    Raises:
        ValueError: the limit is no size, or nothing.
    """
    from modelyard.transfer.network import Network, Pace

    return Network() if limit_rate is None else Network(pace=Pace(size_of(limit_rate)))
