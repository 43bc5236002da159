"""Whether two agents report as one machine with one key, such as on two computers with copies of one disk. Pure.

Each process of an agent has a name of its own. A restart replaces the process for good. A process returns if it sends
a heartbeat after another one did: then both run. A single return proves nothing, since a heartbeat of a process that
has ended may have waited in a network. It makes two returns: its own, and that of the process that runs.
"""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row

from modelyard.server.models.replicas.tables import AgentRow
from modelyard.server.models.replicas.unhealthy import UNHEALTHY_AFTER

# The most processes that are remembered: as many computers with copies of one disk are noticed.
MAX_REPLACED = 16
# Returns that follow each other so soon belong together. Two of them do not last longer, so that it takes three.
MAX_PAUSE = UNHEALTHY_AFTER
# How long after the last return two agents count as running.
ENDS_AFTER = timedelta(minutes=3)


def record_process(agent: AgentRow, process: str | None, moment: datetime) -> None:
    """Store in the machine's row which process sent a heartbeat, and note the return of one that had been replaced.

    Does nothing for an agent that does not say which process it is.
    """
    if process is None or process == agent.process:
        return
    before = agent.replaced_processes or []
    if process in before:
        _record_return(agent, moment)
    known = [] if agent.process is None else [agent.process]
    agent.replaced_processes = [*known, *(each for each in before if each != process)][:MAX_REPLACED]
    agent.process = process


def _record_return(agent: AgentRow, moment: datetime) -> None:
    """Note in the machine's row when a replaced process came back, and when the series of such returns began.

    A series ends with a pause of more than ``MAX_PAUSE``, unless two agents count as running now.
    """
    is_first = agent.returned_at is None or moment - agent.returned_at > MAX_PAUSE
    if is_first and not is_reported_by_two(agent, moment):
        agent.returns_since = moment
    agent.returned_at = moment


def is_reported_by_two(agent: AgentRow | Row[*tuple[Any, ...]], moment: datetime) -> bool:
    """Return whether processes have returned for longer than ``MAX_PAUSE``, and the last one a short time ago."""
    if agent.returns_since is None or agent.returned_at is None:
        return False
    return bool(agent.returned_at - agent.returns_since > MAX_PAUSE and moment - agent.returned_at <= ENDS_AFTER)
