"""The API's representation of roll-outs."""

from typing import cast

from modelyard.server.collections.rollouts.decisions import describe_obstacle
from modelyard.server.collections.tables import RolloutRow
from modelyard.wire.collections.rollouts import RolloutObstacle, RolloutState, RolloutSummary
from modelyard.wire.versions import Creator


def build_summary(row: RolloutRow) -> RolloutSummary:
    """Return the API's representation of a roll-out without its machines."""
    obstacle = cast(RolloutObstacle | None, row.obstacle)
    return RolloutSummary(
        id=row.id,
        collection_id=row.collection_id,
        version=row.version,
        previous_version=row.previous_version,
        canary_label=row.canary_label,
        is_automatic=row.is_automatic,
        min_ready_seconds=row.min_ready_seconds,
        state=cast(RolloutState, row.state),
        reason=row.reason if obstacle is None else describe_obstacle(obstacle),
        obstacle=obstacle,
        created_by=Creator(kind=row.creator_kind, id=row.creator_id, display_name=row.creator_name),
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
