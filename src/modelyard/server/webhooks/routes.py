"""``/webhooks``: create, list, read, change, delete and test webhooks; rotate secrets; deliveries."""

from functools import partial
from typing import Annotated

from fastapi import Depends, Request, status

from modelyard.server.database.session import Db
from modelyard.server.encryption import SecretCipher
from modelyard.server.fairness.usage import Limits
from modelyard.server.http.api_route import ApiRouter
from modelyard.server.http.operation_limiter import OperationLimiter
from modelyard.server.http.paging import PageParams
from modelyard.server.http.params import CurrentSettings, PathId
from modelyard.server.http.problems import answers
from modelyard.server.teams.context import ACCESS_PROBLEMS, TeamContext, require_permission
from modelyard.server.teams.permissions import Operation
from modelyard.server.webhooks import deliveries, operations
from modelyard.wire import problems
from modelyard.wire.schemas import Created, Updated
from modelyard.wire.webhooks import (
    CreatedWebhook,
    NewWebhook,
    RotatedSecret,
    Webhook,
    WebhookDeliveryList,
    WebhookList,
    WebhookUpdate,
)

router = ApiRouter("webhooks", prefix="/webhooks")

# A resolver may take seconds; the threads that serve other requests must not wait for it.
ADDRESS_CHECKS = Limits(4, per_person=2, per_team=2)

Managing = Annotated[TeamContext, require_permission(Operation.WEBHOOKS_MANAGE)]


def build_address_limiter() -> OperationLimiter:
    """Build the limiter of requests that resolve an address: those of one team never take all threads."""
    busy = "The registry is checking too many addresses at this moment. Try again."
    return OperationLimiter(ADDRESS_CHECKS, busy=busy)


async def get_cipher(request: Request) -> SecretCipher | None:
    """Return the cipher of this process, or None without a key; async, so that no thread is needed for it."""
    cipher: SecretCipher | None = request.app.state.resources.cipher
    return cipher


Cipher = Annotated[SecretCipher | None, Depends(get_cipher)]


@router.post(
    "",
    status_code=status.HTTP_201_CREATED,
    responses=answers(*ACCESS_PROBLEMS, problems.InvalidRequest, problems.WebhookLimitReached),
)
async def create_webhook(
    new: NewWebhook, team: Managing, database: Db, settings: CurrentSettings, cipher: Cipher, request: Request
) -> CreatedWebhook:
    """Create a webhook that gets the team's events from now on; its secret is returned once."""
    limiter: OperationLimiter = request.app.state.address_limiter
    create = partial(operations.create_webhook, database, settings, cipher, team, new)
    return await limiter.run(team.account, create)


@router.get("", responses=answers(*ACCESS_PROBLEMS, problems.InvalidRequest))
def list_webhooks(team: Managing, database: Db, page: PageParams) -> WebhookList:
    """List the webhooks, oldest first."""
    with database.reading() as session:
        return operations.list_webhooks(session, team, page)


@router.get("/{webhook_id}", responses=answers(*ACCESS_PROBLEMS, problems.WebhookNotFound))
def get_webhook(webhook_id: PathId, team: Managing, database: Db) -> Webhook:
    """Read a webhook."""
    with database.reading() as session:
        found = operations.find_webhook(session, team, operations.parse_webhook_id(webhook_id))
        return operations.build_webhook(found)


@router.put("/{webhook_id}", responses=answers(*ACCESS_PROBLEMS, problems.WebhookNotFound, problems.InvalidRequest))
async def update_webhook(
    webhook_id: PathId,
    change: WebhookUpdate,
    team: Managing,
    database: Db,
    settings: CurrentSettings,
    request: Request,
) -> Updated:
    """Change a webhook, or turn it on or off."""
    limiter: OperationLimiter = request.app.state.address_limiter
    parsed_id = operations.parse_webhook_id(webhook_id)
    update = partial(operations.update_webhook, database, settings, team, parsed_id, change)
    return Updated(id=await limiter.run(team.account, update))


@router.delete(
    "/{webhook_id}",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=answers(*ACCESS_PROBLEMS, problems.WebhookNotFound),
)
def delete_webhook(webhook_id: PathId, team: Managing, database: Db) -> None:
    """Delete a webhook with its deliveries."""
    parsed_id = operations.parse_webhook_id(webhook_id)
    with database.writing(team.team_id) as session:
        operations.delete_webhook(session, team, parsed_id)


@router.post(
    "/{webhook_id}/test",
    status_code=status.HTTP_201_CREATED,
    responses=answers(*ACCESS_PROBLEMS, problems.WebhookNotFound),
)
def test_webhook(webhook_id: PathId, team: Managing, database: Db) -> Created:
    """Send a test to a webhook, also to a disabled one; returns the id of its delivery."""
    parsed_id = operations.parse_webhook_id(webhook_id)
    with database.writing(team.team_id) as session:
        return Created(id=operations.queue_test(session, team, parsed_id))


@router.post("/{webhook_id}/rotate-secret", responses=answers(*ACCESS_PROBLEMS, problems.WebhookNotFound))
def rotate_webhook_secret(webhook_id: PathId, team: Managing, database: Db, cipher: Cipher) -> RotatedSecret:
    """Replace the secret of a webhook, which is returned once; for 24 hours the old one signs too."""
    parsed_id = operations.parse_webhook_id(webhook_id)
    with database.writing(team.team_id) as session:
        return operations.rotate_secret(session, cipher, team, parsed_id)


@router.get(
    "/{webhook_id}/deliveries",
    responses=answers(*ACCESS_PROBLEMS, problems.WebhookNotFound, problems.InvalidRequest),
)
def list_webhook_deliveries(webhook_id: PathId, team: Managing, database: Db, page: PageParams) -> WebhookDeliveryList:
    """List the deliveries of a webhook, newest first."""
    parsed_id = operations.parse_webhook_id(webhook_id)
    with database.reading() as session:
        return deliveries.list_deliveries(session, team, parsed_id, page)


@router.post(
    "/{webhook_id}/deliveries/{delivery_id}/redeliver",
    responses=answers(*ACCESS_PROBLEMS, problems.WebhookNotFound, problems.WebhookDeliveryNotFound),
)
def redeliver_to_webhook(webhook_id: PathId, delivery_id: PathId, team: Managing, database: Db) -> Updated:
    """Send a delivery again, with the same `webhook-id` and body."""
    parsed_id = operations.parse_webhook_id(webhook_id)
    with database.writing(team.team_id) as session:
        found = deliveries.redeliver(session, team, parsed_id, deliveries.parse_delivery_id(delivery_id))
        return Updated(id=found)
