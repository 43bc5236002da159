"""API schemas of lists of models by their use: unused ones, and what a disk budget evicts."""

from datetime import datetime
from uuid import UUID

from pydantic import Field

from modelyard.wire.schemas import EXAMPLE_ID, EXAMPLE_PAGE, EXAMPLE_TIME, PageMeta, Schema
from modelyard.wire.uses.eviction import MIN_COUNTED

EXAMPLE_AGENT = "render-07"
# After so many days without a use a model counts as unused, unless another number is requested.
DEFAULT_UNUSED_DAYS = 90
# So many machines of an unused model are named.
MAX_UNUSED_MACHINES = 20
# So many models of a preview of evictions are listed.
MAX_PREVIEWED = 100


class UnusedModel(Schema):
    """A model that machines hold and that their ComfyUIs have not used for a while."""

    model_id: UUID = Field(description="The model's id.", examples=[EXAMPLE_ID])
    display_name: str = Field(description="The model's name.", examples=["Ink"])
    model_path: str = Field(description="Where it belongs.", examples=["loras/ink.safetensors"])
    file_size: int = Field(description="Bytes of the file, or of all files of a folder.", examples=[151_000_000])
    last_used_at: datetime | None = Field(
        description="When a prompt of any machine used it last; null if none is known.", examples=[EXAMPLE_TIME]
    )
    agent_ids: list[str] = Field(
        description=f"The machines that it is safe to remove it from, the first {MAX_UNUSED_MACHINES} of them by name.",
        examples=[[EXAMPLE_AGENT]],
    )
    agent_count: int = Field(description="How many machines it is safe to remove it from.", examples=[1])


class UnusedModelList(Schema):
    """A page of unused models, the largest first; the first page has the sums of all of them.

    A model is unused on a machine if it has been ready there for the whole time, the machine has counted use for the
    whole time, and no prompt has used it there. It is safe to remove from the machine if, besides, it is not assigned
    to it, neither directly nor by a collection, and so not pinned either: the machine has it because of its labels.
    """

    unused_model_list: list[UnusedModel] = Field(description="The models.", examples=[[]])
    model_count: int | None = Field(
        description="How many models all pages have; null if this is not the first page.", examples=[14]
    )
    machine_count: int | None = Field(
        description="From how many machines some of them can be removed; null if this is not the first page.",
        examples=[3],
    )
    total_bytes: int | None = Field(
        description="What that frees on all of these machines; null if this is not the first page.",
        examples=[212_000_000_000],
    )
    uncounted_ids: list[str] = Field(
        description="Machines that have not counted use for so long, so that nothing is known to be unused there.",
        examples=[["render-09"]],
    )
    page_meta: PageMeta = Field(description="Where this page stands.", examples=[EXAMPLE_PAGE])


class EvictedModel(Schema):
    """A model for which a machine's disk budget leaves no space."""

    model_id: UUID = Field(description="The model's id.", examples=[EXAMPLE_ID])
    display_name: str = Field(description="The model's name.", examples=["Ink"])
    model_path: str = Field(description="Where it belongs.", examples=["loras/ink.safetensors"])
    file_size: int = Field(description="Bytes of the file, or of all files of a folder.", examples=[151_000_000])
    is_here: bool = Field(description="Whether the machine has it, so that it would be removed.", examples=[True])
    last_used_at: datetime | None = Field(
        description="When a prompt of this machine used it last; null if none is known.", examples=[EXAMPLE_TIME]
    )


class EvictionPreview(Schema):
    """What a machine would do with a disk budget, by what it has reported; nothing is changed.

    The machine itself decides. Unknown to the registry are the models that its queue uses, the files that are its
    users' own, and since when exactly a model that was never used is there.
    """

    disk_budget_bytes: int = Field(description="The budget.", examples=[500_000_000_000])
    desired_bytes: int = Field(description="Bytes of all models that it should hold.", examples=[712_000_000_000])
    kept_bytes: int = Field(
        description="Bytes of those that are never evicted, since they are assigned or pinned.", examples=[90_000_000]
    )
    freed_bytes: int = Field(description="Bytes that it would remove.", examples=[212_000_000_000])
    counts_use: bool = Field(
        description="Whether the machine counts use; if not, it evicts nothing, and downloads stop at the budget.",
        examples=[True],
    )
    use_counted_since: datetime | None = Field(
        description="Since when the machine counts use; null if it does not.", examples=[EXAMPLE_TIME]
    )
    evicts_from: datetime | None = Field(
        description=(
            f"Until then it evicts nothing that it has, because it has counted use for less than {MIN_COUNTED.days} "
            "days; null if it has counted for longer, or does not count."
        ),
        examples=[None],
    )
    away_count: int = Field(
        description=(
            "Models that it has reported as evicted, apart from the following ones: those that it evicted stay away "
            "whatever the budget is, and those that it never fetched come once they fit."
        ),
        examples=[2],
    )
    evicted_count: int = Field(
        description="How many more models it would not hold: those that it would remove, and those that do not fit.",
        examples=[14],
    )
    evicted_list: list[EvictedModel] = Field(
        description=f"The first {MAX_PREVIEWED} of these, the least recently used first.", examples=[[]]
    )
