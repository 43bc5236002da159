"""What a request says beside its body: ids in its path, and where it comes from."""

import ipaddress
import re
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Path, Request

from modelyard.wire.problems import Problem

UUID_SHAPE = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")

# A text for the framework: what is no UUID is answered as what does not exist, and not as a broken field.
PathId = Annotated[str, Path(json_schema_extra={"format": "uuid"}, examples=["0199a1de-7c1e-7a52-9d3b-5f0c2f6f7a10"])]


def uuid_of(text: str, missing: Problem) -> UUID:
    """The UUID that a text is; otherwise raises ``missing``."""
    if UUID_SHAPE.fullmatch(text) is None:
        raise missing
    return UUID(text)


async def _address(request: Request) -> str:
    host = request.client.host if request.client else ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    # One machine usually has a whole /64 of IPv6 to call from.
    return host if address.version == 4 else str(ipaddress.ip_network((address, 64), strict=False))


# Where a request comes from, for counting attempts.
CallersAddress = Annotated[str, Depends(_address)]
