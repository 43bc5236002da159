"""What holds for every plan, whatever a registry says and whatever is on the disk."""

from dataclasses import replace
from pathlib import Path
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from modelyard.client.sync.holding.holdings import Holdings
from modelyard.client.sync.holding.listing import Kind
from modelyard.client.sync.planning.actions import Adopt, Fetch, Plan, Replace
from modelyard.client.sync.planning.plan import plan_sync
from modelyard.client.sync.wanted import read_wanted
from modelyard.wire.agents import WantedModel
from tests.client.sync.making import DISK, MODELS, Disk, install, model, policy_of, sha256_of

SECOND = Path("/second/models")
CONTENTS = ["one", "two", "three"]
PATHS = [f"{folder}/{name}" for folder in ("loras", "unet", "diffusion_models") for name in ("a.pt", "b.pt", "s/c.pt")]

contents = st.sampled_from(CONTENTS)
paths = st.sampled_from(PATHS)
places = st.builds(lambda models, path: str(models / path), st.sampled_from([MODELS, SECOND]), paths)
models = st.builds(
    lambda path, content, keep, hashed: model(path, content, keep=keep, **({} if hashed else {"file_hash": "none"})),
    paths, contents, st.booleans(), st.integers(0, 5),
)  # fmt: skip


# How long one example takes depends on what else the machine does.
unhurried = settings(deadline=None)
HERE, BESIDE = install(), install(SECOND)
AWAY = install(Path("/third/models"), trouble="It is away.", is_listed=False)


@st.composite
def disks(draw: st.DrawFn) -> Disk:
    disk = Disk(*draw(st.sampled_from([[HERE], [HERE, BESIDE], [HERE, HERE], [HERE, AWAY]])))
    for place in draw(st.lists(places, unique=True)):
        fill(disk, place, draw)
    for content in draw(st.sets(contents)):
        disk.trash[DISK, sha256_of(content)] = MODELS / f".modelyard/trash/{sha256_of(content)}.1"
    return disk


def fill(disk: Disk, place: str, draw: st.DrawFn) -> None:
    """Something at the place, and rows that may or may not be about it."""
    kinds: list[Kind] = ["file", "file", "file", "link", "dangling", "folder", "unreadable"]
    kind = draw(st.sampled_from(kinds))
    content = draw(contents)
    facts: dict[str, object] = {"kind": kind, "link": Path(place) if kind in ("link", "dangling") else None}
    if kind not in ("file", "link"):
        facts |= {"sha256": None, "reason": "it cannot be read"}
    if draw(st.booleans()):
        disk.file(place, content, **facts)
    for noted in draw(st.sets(contents, max_size=2)):
        inode = disk.files[Path(place)].inode if Path(place) in disk.files and draw(st.booleans()) else 7
        disk.row(place, noted, draw(st.sampled_from(["placed", "found"])), is_done=draw(st.booleans()), inode=inode)


@unhurried
@given(st.lists(models, max_size=8), disks())
def test_only_what_is_proven_to_be_the_agents_is_touched(wanted: list[WantedModel], disk: Disk) -> None:
    plan = disk.plan(*wanted, has_brake=False)
    for path, sha256 in [
        *((removal.target.path, removal.entry.sha256) for removal in plan.remove),
        *((step.target.path, step.old.sha256) for step in plan.replace),
    ]:
        there, row = disk.files[path], disk.entries[path, sha256]
        assert there.is_plain
        assert there.sha256 == row.sha256 == sha256
        assert row.origin == "placed"
        assert row.is_done or row.inode == there.inode
    for target in [step.target for step in plan.fetch] + [step.target for step in plan.adopt]:
        assert target.path not in disk.files


@unhurried
@given(st.lists(models, max_size=8), disks())
def test_nothing_is_written_outside_the_roots(wanted: list[WantedModel], disk: Disk) -> None:
    plan = disk.plan(*wanted, has_brake=False)
    roots = {root for roots in disk.installs for root in roots if root.trouble is None}
    targets = [step.target for step in brought(plan)] + [removal.target for removal in plan.remove]
    for target in targets:
        assert target.root in roots
        assert target.root.holds(target.path)
        assert ".." not in target.path.parts


hostile = st.builds(
    model,
    st.text("./\\~:lorasunet \0\n\u202e", max_size=30) | st.text(max_size=30).map(lambda name: f"loras/{name}.pt"),
    contents,
    model_type=st.sampled_from(["loras", "..", "custom_nodes", "unet", ".modelyard", "/", ""]),
    file_size=st.integers(-1, 2**70),
)


@unhurried
@given(st.lists(hostile, max_size=8), disks())
def test_nothing_that_a_registry_says_leads_out_of_the_roots(wanted: list[WantedModel], disk: Disk) -> None:
    plan = disk.plan(*wanted)
    for step in brought(plan):
        inside = step.target.path.relative_to(step.target.root.path)
        assert step.target.root.key == step.wanted.model_type
        assert not {"..", ".", "", ".modelyard", "custom_nodes"} & set(inside.parts)
        assert "\0" not in str(inside)
    assert all(refuse.reason.isprintable() for refuse in plan.refuse)


@unhurried
@given(st.lists(models, max_size=8), disks())
def test_a_plan_that_was_carried_out_leaves_nothing_to_do(wanted: list[WantedModel], disk: Disk) -> None:
    disk.carry_out(disk.plan(*wanted, has_brake=False))
    again = disk.plan(*wanted, has_brake=False)
    assert again.is_done, again


@unhurried
@given(st.lists(models, max_size=8), disks())
def test_every_wanted_model_is_here_or_brought_or_refused(wanted: list[WantedModel], disk: Disk) -> None:
    plan = disk.plan(*wanted)
    told = {step.wanted.id for step in brought(plan)} | {keep.wanted.id for keep in plan.keep}
    told |= {refuse.model_id for refuse in plan.refuse}
    assert told == {entry.id for entry in wanted}


@unhurried
@given(st.lists(models, max_size=8), disks(), st.randoms(use_true_random=False))
def test_the_order_of_things_decides_nothing(wanted: list[WantedModel], disk: Disk, random: Random) -> None:
    plan = disk.plan(*wanted)
    assert plan_sync(read_wanted(shuffled(wanted, random)), scrambled(disk, random), policy_of()) == plan


@unhurried
@given(st.lists(models, max_size=8), disks())
def test_no_file_leaves_whose_bytes_a_refused_model_needs(wanted: list[WantedModel], disk: Disk) -> None:
    plan: Plan = disk.plan(*wanted, has_brake=False)
    refused = {refuse.model_id for refuse in plan.refuse}
    assert not [removal for removal in plan.remove if removal.entry.model_id in refused]


def brought(plan: Plan) -> list[Fetch | Adopt | Replace]:
    return [*plan.fetch, *plan.adopt, *plan.replace]


def shuffled(things: list[WantedModel], random: Random) -> list[WantedModel]:
    return random.sample(things, len(things))


def scrambled(disk: Disk, random: Random) -> Holdings:
    """The same disk, looked at in another order."""
    held = disk.held()
    files = random.sample(list(held.files.items()), len(held.files))
    entries = random.sample(held.entries, len(held.entries))
    trash = random.sample(list(held.trash.items()), len(held.trash))
    return replace(held, files=dict(files), entries=tuple(entries), trash=dict(trash))
