"""The calls of a registry about collections, their subscriptions and their roll-outs."""

from uuid import UUID

from modelyard.client.api.calls.channel import ChannelCalls
from modelyard.client.api.http import Call
from modelyard.client.api.paging import Paging
from modelyard.client.api.urls import build_path
from modelyard.wire import collections
from modelyard.wire.collections import changes, rollouts
from modelyard.wire.schemas import Created, Updated

_START = Paging()


class CollectionCalls(ChannelCalls):
    """The methods of ``RegistryApi`` about collections; they raise the same."""

    async def create_collection(self, new: collections.NewCollection) -> Created:
        return await self._post(Created, "/collections", new)

    async def list_collections(self, paging: Paging = _START) -> collections.CollectionList:
        return await self._get(collections.CollectionList, "/collections", paging.build_query())

    async def get_collection(self, collection_id: UUID) -> collections.Collection:
        """Return a collection with the models of its newest version."""
        return await self._get(collections.Collection, build_path("collections", collection_id))

    async def update_collection(self, collection_id: UUID, change: collections.CollectionUpdate) -> Updated:
        call = Call("PUT", build_path("collections", collection_id), change, repeatable=True)
        return await self._channel.request(Updated, call)

    async def delete_collection(self, collection_id: UUID) -> None:
        await self._channel.send(Call("DELETE", build_path("collections", collection_id)))

    async def add_collection_version(
        self, collection_id: UUID, new: collections.NewCollectionVersion
    ) -> collections.CreatedCollectionVersion:
        """Make the next version of a collection; repeated, it returns the version with these models."""
        path = build_path("collections", collection_id, "versions")
        return await self._post(collections.CreatedCollectionVersion, path, new, repeatable=True)

    async def list_collection_versions(
        self, collection_id: UUID, paging: Paging = _START
    ) -> collections.CollectionVersionList:
        path = build_path("collections", collection_id, "versions")
        return await self._get(collections.CollectionVersionList, path, paging.build_query())

    async def get_collection_version(self, collection_id: UUID, number: int) -> collections.CollectionVersion:
        return await self._get(
            collections.CollectionVersion, build_path("collections", collection_id, "versions", number)
        )

    async def get_collection_changes(
        self, collection_id: UUID, number: int, *, since: int | None = None
    ) -> changes.CollectionChanges:
        """Return what a version has that another one had not, by default the one before it."""
        path = build_path("collections", collection_id, "versions", number, "changes")
        query = {} if since is None else {"since": str(since)}
        return await self._get(changes.CollectionChanges, path, query)

    async def list_subscriptions(self, collection_id: UUID, paging: Paging = _START) -> collections.SubscriptionList:
        path = build_path("collections", collection_id, "subscriptions")
        return await self._get(collections.SubscriptionList, path, paging.build_query())

    async def subscribe(self, collection_id: UUID, new: collections.NewSubscription) -> Created:
        """Subscribe a label or a machine to a collection; repeated, it returns the same subscription."""
        return await self._post(
            Created, build_path("collections", collection_id, "subscriptions"), new, repeatable=True
        )

    async def unsubscribe(self, collection_id: UUID, subscription_id: UUID) -> None:
        await self._channel.send(
            Call("DELETE", build_path("collections", collection_id, "subscriptions", subscription_id))
        )

    async def list_collections_of(self, model_id: UUID, paging: Paging = _START) -> collections.CollectionOfModelList:
        """Return one page of the collections whose newest version, or one that machines get, has a model."""
        path = build_path("models", model_id, "collections")
        return await self._get(collections.CollectionOfModelList, path, paging.build_query())

    async def start_rollout(self, collection_id: UUID, new: rollouts.NewRollout) -> Created:
        """Start a roll-out of a version; repeated while it runs, it returns the same one."""
        return await self._post(Created, build_path("collections", collection_id, "rollouts"), new, repeatable=True)

    async def list_rollouts(self, collection_id: UUID, paging: Paging = _START) -> rollouts.RolloutList:
        """Return one page of the roll-outs of a collection, newest first."""
        path = build_path("collections", collection_id, "rollouts")
        return await self._get(rollouts.RolloutList, path, paging.build_query())

    async def get_rollout(self, collection_id: UUID, rollout_id: UUID) -> rollouts.Rollout:
        """Return a roll-out with the state of its machines."""
        path = build_path("collections", collection_id, "rollouts", rollout_id)
        return await self._get(rollouts.Rollout, path)

    async def approve_rollout(
        self, collection_id: UUID, rollout_id: UUID, approval: rollouts.RolloutApproval
    ) -> Updated:
        """Let a roll-out go on to all machines, perhaps without canaries; repeated, it changes nothing."""
        path = build_path("collections", collection_id, "rollouts", rollout_id, "approve")
        return await self._post(Updated, path, approval, repeatable=True)

    async def change_rollout(self, collection_id: UUID, rollout_id: UUID, action: rollouts.RolloutAction) -> Updated:
        """Stop a roll-out, or roll it back; repeated, it changes nothing."""
        path = build_path("collections", collection_id, "rollouts", rollout_id, action)
        return await self._post(Updated, path, repeatable=True)
