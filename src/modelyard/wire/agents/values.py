"""The states, names and limits that the API schemas of agents share."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from modelyard.wire.texts.rules import LINE_PATTERN

# Not "." and "..", which clients and proxies remove from the path of an address, with the segment before them.
AGENT_ID_PATTERN = r"^([A-Za-z0-9_-][A-Za-z0-9._-]{0,63}|\.[A-Za-z0-9_-][A-Za-z0-9._-]{0,62}|\.\.[A-Za-z0-9._-]{1,62})$"
# The maximum number of model states in one heartbeat.
MAX_HEARTBEAT_STATES = 1000
# After how many seconds without a heartbeat a machine is unhealthy: three missed ones.
UNHEALTHY_SECONDS = 90
# The number of characters of a state's reason that the registry stores, and has in a response about several models.
MAX_REASON_LENGTH = 500
# The number of characters of a sentence in a heartbeat, and of a short text.
MAX_SENTENCE_LENGTH, MAX_SHORT_TEXT_LENGTH = 2000, 100
# The maximum number of values in a heartbeat's response that the registry could not read.
MAX_UNREADABLE_FIELDS = 20
# The maximum number of states in one response about several models on all machines. Most have 100 to 300 bytes of JSON,
# and one with a reason of ``MAX_REASON_LENGTH`` characters has 2,300 at most.
MAX_STATES_IN_RESPONSE = 10_000

AgentId = Annotated[str, StringConstraints(strict=True, pattern=AGENT_ID_PATTERN)]
ShortText = Annotated[str, StringConstraints(strict=True, max_length=MAX_SHORT_TEXT_LENGTH, pattern=LINE_PATTERN)]
# Long enough for a sentence with two paths and two hashes.
Sentence = Annotated[str, StringConstraints(strict=True, max_length=MAX_SENTENCE_LENGTH, pattern=LINE_PATTERN)]
# The digest of a set of files whose removal waits for approval.
RemovalToken = Annotated[str, StringConstraints(strict=True, pattern=r"^[0-9a-f]{64}$")]
SeriesName = Annotated[str, StringConstraints(strict=True, max_length=64, pattern=r"^[A-Za-z0-9._-]*$")]
Count = Annotated[int, Field(strict=True, ge=0, le=2**63 - 1)]
DiskBudget = Annotated[int, Field(strict=True, ge=1, le=2**63 - 1)]
AgentStatus = Literal["idle", "busy", "syncing", "unhealthy"]
SyncPhase = Literal["idle", "scanning", "planning", "downloading", "verifying", "placing", "waiting"]
ModelState = Literal["queued", "downloading", "verifying", "ready", "conflict", "blocked", "failed", "evicted"]
MachineState = Literal["up_to_date", "syncing", "waiting", "problem", "offline"]
DesiredBy = Literal["labels", "assignment", "subscription"]

# Why a machine does not download a model, as the machine and the registry say it.
DAMAGED_REASON = (
    "The registry's copy is damaged and cannot be downloaded. Push the file again from a machine that has it."
)
# Why a machine has a problem if two agents report as it, as their logs and the registry say it.
REPORTED_BY_TWO_REASON = (
    "Another agent reports as this machine with the same key, as on a computer with a copy of its disk. Stop the agent "
    "of one of the two, pair it again (modelyard agent pair), and give it another name (modelyard agent run --agent-id "
    "NAME, or install it again with --agent-id NAME)."
)

EXAMPLE_AGENT = "render-07"
