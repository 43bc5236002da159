"""API schemas of collections: named, versioned lists of models, each at one version."""

import unicodedata
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field, StrictBool

from modelyard.wire.agents.values import AgentId
from modelyard.wire.models import Label
from modelyard.wire.schemas import (
    EXAMPLE_HASH,
    EXAMPLE_ID,
    EXAMPLE_PAGE,
    EXAMPLE_TIME,
    Name,
    Note,
    PageMeta,
    PartialUpdate,
    Schema,
)
from modelyard.wire.versions import Creator, VersionNumber

# As many models as a workflow may name and a lookup may ask for.
MAX_COLLECTION_MODELS = 1_000
# Of a team, and of a collection: what they may write has a limit, as files have a quota.
MAX_COLLECTIONS = 1_000
MAX_COLLECTION_VERSIONS = 1_000
EXAMPLE_NAME = "Winter campaign"
_EXAMPLE_CREATOR = {"kind": "user", "id": None, "display_name": "Ada"}


def build_name_key(name: str) -> str:
    """Return what all spellings of a collection's name have in common.

    They differ in case, in the Unicode form of their accents, or in white space around them.
    """
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold()).strip()


class NewCollectionModel(Schema):
    """A model to put into a collection."""

    model_id: UUID = Field(description="A model of the team that is not in the trash.", examples=[EXAMPLE_ID])
    version: VersionNumber | None = Field(
        default=None, description="Which of its versions; null or absent: the one that the model has now.", examples=[3]
    )


_EXAMPLE_MODELS: list[dict[str, Any]] = [{"model_id": EXAMPLE_ID, "version": 3}]
ModelsOfCollection = Annotated[list[NewCollectionModel], Field(max_length=MAX_COLLECTION_MODELS)]


class NewCollection(Schema):
    """A collection to create, with the models of its version 1."""

    name: Name = Field(
        description="Unique in the team; case and spaces around it do not matter.", examples=[EXAMPLE_NAME]
    )
    note: Note | None = Field(default=None, description="What it is for.", examples=["All shots of act 2."])
    model_list: ModelsOfCollection = Field(
        description=f"At most {MAX_COLLECTION_MODELS:,} models, each once.", examples=[_EXAMPLE_MODELS]
    )


class CollectionUpdate(PartialUpdate):
    """Changes to a collection; null clears the note. Its models change with a new version."""

    name: Name = Field(
        default="", description="Unique in the team; case and spaces around it do not matter.", examples=[EXAMPLE_NAME]
    )
    note: Note | None = Field(default=None, description="What it is for.", examples=["All shots of act 2."])
    is_pinned: StrictBool = Field(
        default=False,
        description="For admins: subscribed machines hold its models at its versions, which are not purged.",
        examples=[True],
    )
    is_held: StrictBool = Field(
        default=False, description="For admins: new versions reach subscribed machines by a roll-out.", examples=[True]
    )


class NewCollectionVersion(Schema):
    """The models of a collection's next version."""

    model_list: ModelsOfCollection = Field(
        description=f"All models of the version, at most {MAX_COLLECTION_MODELS:,}, each once.",
        examples=[_EXAMPLE_MODELS],
    )
    note: Note | None = Field(default=None, description="What is new in it.", examples=["New LoRA for shot 12."])
    expected_version: VersionNumber | None = Field(
        default=None,
        description="The newest version that the caller has seen: 409 if this is not the collection's newest version.",
        examples=[1],
    )


class CreatedCollectionVersion(Schema):
    """The number of the version that has these models."""

    id: UUID = Field(description="The id of the collection.", examples=[EXAMPLE_ID])
    version: int = Field(description="The number of its newest version.", examples=[2])


class CollectionModel(Schema):
    """A model of a collection, at one version."""

    model_id: UUID = Field(description="The model's id.", examples=[EXAMPLE_ID])
    version: int = Field(description="Which of its versions.", examples=[3])
    model_path: str = Field(
        description="The model's path; of a deleted one, its path when it was added.",
        examples=["models/loras/ink.safetensors"],
    )
    file_size: int = Field(description="Bytes of this version.", examples=[151_000_000])
    file_hash: str = Field(description="`sha256:` and the hex digest of this version.", examples=[EXAMPLE_HASH])
    current_version: int | None = Field(
        description="The version that the model has now; null if the model was deleted.", examples=[4]
    )
    is_available: bool = Field(
        description="False if the model or this version was deleted since, or is in the trash.", examples=[True]
    )


class CollectionVersionSummary(Schema):
    """A version of a collection without its models; it never changes."""

    version: int = Field(description="Its number, from 1.", examples=[2])
    note: str | None = Field(description="What is new in it.", examples=["New LoRA for shot 12."])
    model_count: int = Field(description="How many models it has.", examples=[12])
    created_by: Creator = Field(description="Who made it.", examples=[_EXAMPLE_CREATOR])
    created_at: datetime = Field(description="When it was made.", examples=[EXAMPLE_TIME])


class CollectionVersion(CollectionVersionSummary):
    """A version of a collection."""

    model_list: list[CollectionModel] = Field(description="Its models, in the order given.", examples=[[]])


class CollectionSummary(Schema):
    """A collection without its models."""

    id: UUID = Field(description="Its id (UUIDv7).", examples=[EXAMPLE_ID])
    name: str = Field(description="Its name.", examples=[EXAMPLE_NAME])
    note: str | None = Field(description="What it is for.", examples=["All shots of act 2."])
    version: int = Field(description="The number of its newest version.", examples=[2])
    rolled_out_version: int = Field(
        description="The version that subscribed machines get, apart from those of a roll-out that has not finished.",
        examples=[2],
    )
    is_pinned: bool = Field(
        description="Whether subscribed machines hold its models at its versions, or else at their current ones.",
        examples=[False],
    )
    is_held: bool = Field(
        description="Whether new versions reach subscribed machines by a roll-out, or else at once. If machines do not "
        "have the newest version, the next one reaches them by a roll-out in any case.",
        examples=[False],
    )
    model_count: int = Field(description="How many models the newest version has.", examples=[12])
    created_by: Creator = Field(description="Who created it.", examples=[_EXAMPLE_CREATOR])
    created_at: datetime = Field(description="When it was created.", examples=[EXAMPLE_TIME])
    updated_at: datetime = Field(
        description="When its name, note or newest version last changed.", examples=[EXAMPLE_TIME]
    )


class Collection(CollectionSummary):
    """A collection with the models of its newest version."""

    model_list: list[CollectionModel] = Field(
        description="The models of the newest version, in the order given.", examples=[[]]
    )


class CollectionList(Schema):
    """A page of the team's collections."""

    collection_list: list[CollectionSummary] = Field(description="By name.", examples=[[]])
    page_meta: PageMeta = Field(description="Where this page stands.", examples=[EXAMPLE_PAGE])


class CollectionVersionList(Schema):
    """A page of a collection's versions."""

    version_list: list[CollectionVersionSummary] = Field(description="Newest first.", examples=[[]])
    page_meta: PageMeta = Field(description="Where this page stands.", examples=[EXAMPLE_PAGE])


class VersionWithModel(Schema):
    """A version of a collection that has a certain model."""

    version: int = Field(description="The number of the collection's version.", examples=[2])
    model_version: int = Field(description="The version of the model in it.", examples=[3])
    is_newest: bool = Field(description="Whether it is the newest version of the collection.", examples=[False])
    is_on_machines: bool = Field(
        description="Whether subscribed machines get it: it was rolled out, or is being rolled out.", examples=[True]
    )


_EXAMPLE_USES = [{"version": 2, "model_version": 3, "is_newest": False, "is_on_machines": True}]


class CollectionOfModel(Schema):
    """A collection that uses a certain model: in its newest version, or in one that subscribed machines get."""

    id: UUID = Field(description="The collection's id.", examples=[EXAMPLE_ID])
    name: str = Field(description="The collection's name.", examples=[EXAMPLE_NAME])
    version_list: list[VersionWithModel] = Field(
        description="These versions, newest first; older ones that no machine gets are left out.",
        examples=[_EXAMPLE_USES],
    )
    is_pinned: bool = Field(
        default=False,
        description="Whether it is pinned, so that subscribed machines hold these versions of the model.",
        examples=[True],
    )


class CollectionOfModelList(Schema):
    """A page of the collections that use a certain model."""

    collection_list: list[CollectionOfModel] = Field(description="By name.", examples=[[]])
    page_meta: PageMeta = Field(description="Where this page stands.", examples=[EXAMPLE_PAGE])


class NewSubscription(Schema):
    """What to subscribe to a collection: exactly one of both."""

    label: Label | None = Field(default=None, description="All machines with this label.", examples=["gpu24"])
    agent_id: AgentId | None = Field(default=None, description="One machine.", examples=[None])


class Subscription(Schema):
    """Machines that should hold a collection's models (`rolled_out_version`); one of `label` and `agent_id` is null."""

    id: UUID = Field(description="Its id (UUIDv7).", examples=[EXAMPLE_ID])
    label: str | None = Field(description="All machines with this label.", examples=["gpu24"])
    agent_id: str | None = Field(description="One machine.", examples=[None])
    created_by: Creator = Field(description="Who made it.", examples=[_EXAMPLE_CREATOR])
    created_at: datetime = Field(description="When it was made.", examples=[EXAMPLE_TIME])


class SubscriptionList(Schema):
    """A page of a collection's subscriptions."""

    subscription_list: list[Subscription] = Field(description="Oldest first.", examples=[[]])
    page_meta: PageMeta = Field(description="Where this page stands.", examples=[EXAMPLE_PAGE])
