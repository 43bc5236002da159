"""The calls of a registry about webhooks."""

from uuid import UUID

from modelyard.client.api.calls.channel import ChannelCalls
from modelyard.client.api.http import Call
from modelyard.client.api.paging import Paging
from modelyard.client.api.urls import build_path
from modelyard.wire import webhooks
from modelyard.wire.schemas import Created, Updated

_START = Paging()


class WebhookCalls(ChannelCalls):
    """The methods of ``RegistryApi`` about webhooks; they raise the same."""

    async def create_webhook(self, new: webhooks.NewWebhook) -> webhooks.CreatedWebhook:
        """Create a webhook, and return its secret, which is returned only this once."""
        return await self._post(webhooks.CreatedWebhook, "/webhooks", new)

    async def list_webhooks(self, paging: Paging = _START) -> webhooks.WebhookList:
        return await self._get(webhooks.WebhookList, "/webhooks", paging.build_query())

    async def get_webhook(self, webhook_id: UUID) -> webhooks.Webhook:
        return await self._get(webhooks.Webhook, build_path("webhooks", webhook_id))

    async def update_webhook(self, webhook_id: UUID, change: webhooks.WebhookUpdate) -> Updated:
        call = Call("PUT", build_path("webhooks", webhook_id), change, repeatable=True)
        return await self._channel.request(Updated, call)

    async def delete_webhook(self, webhook_id: UUID) -> None:
        await self._channel.send(Call("DELETE", build_path("webhooks", webhook_id)))

    async def test_webhook(self, webhook_id: UUID) -> Created:
        """Queue a test, and return the id of its delivery."""
        return await self._post(Created, build_path("webhooks", webhook_id, "test"))

    async def rotate_webhook_secret(self, webhook_id: UUID) -> webhooks.RotatedSecret:
        """Replace the secret of a webhook, and return the new one, which is returned only this once."""
        return await self._post(webhooks.RotatedSecret, build_path("webhooks", webhook_id, "rotate-secret"))

    async def list_webhook_deliveries(self, webhook_id: UUID, paging: Paging = _START) -> webhooks.WebhookDeliveryList:
        """Return one page of the deliveries of a webhook, newest first."""
        return await self._get(
            webhooks.WebhookDeliveryList, build_path("webhooks", webhook_id, "deliveries"), paging.build_query()
        )

    async def redeliver_to_webhook(self, webhook_id: UUID, delivery_id: UUID) -> Updated:
        """Send a delivery again; repeated, it is sent again too, with the same ``webhook-id``."""
        path = build_path("webhooks", webhook_id, "deliveries", delivery_id, "redeliver")
        return await self._post(Updated, path, repeatable=True)
