"""Checks of a workflow of 300 nodes against a hundred thousand models and 50 machines, on both databases."""

import gc
import json
import random
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic_core import to_json
from sqlalchemy import select

from bench.filled_team import CreateDatabase, FilledTeam, open_filled_team
from bench.scale import no_database
from bench.table import Goal, Table
from modelyard.server.models.tables import ModelRow
from modelyard.server.workflows.operations import check_workflow
from modelyard.server.workflows.reading import read_references
from tests.postgres import RunningPostgres
from tests.server.agents.machine import Machine, build_states

NODES, MACHINES, ROUNDS = 300, 50, 60
# Of the nodes, so many load a model. In every second workflow, so many names are of no model of the team.
LOADERS, UNKNOWN_NAMES = 40, 3
MAX_MILLISECONDS = 50.0
# Milliseconds on the clock, and of CPU time of this process.
Times = tuple[float, float]
INPUTS = {
    "checkpoints": ("CheckpointLoaderSimple", "ckpt_name"),
    "loras": ("LoraLoaderModelOnly", "lora_name"),
    "vae": ("VAELoader", "vae_name"),
    "controlnet": ("ControlNetLoader", "control_net_name"),
    "upscale_models": ("UpscaleModelLoader", "model_name"),
}


def measure(home: Path, models: int) -> Iterator[tuple[list[Table], list[Goal]]]:
    """Check workflows in a registry of so many models, on one database after the other."""
    with RunningPostgres() as postgres:
        for name, create_database in (("SQLite", no_database), ("PostgreSQL", postgres.database)):
            times = _measure_database(home / f"workflows-{name}", create_database, models)
            walls, cpus = (sorted(each) for each in zip(*times, strict=True))
            p95 = walls[int(len(walls) * 0.95)]
            row = [name, f"{walls[len(walls) // 2]:.1f}", f"{p95:.1f}", f"{cpus[len(cpus) // 2]:.1f}"]
            title = f"Check of a workflow of {NODES} nodes, {models:,} models, {MACHINES} machines, in milliseconds"
            goal = Goal(f"{name}: check of a workflow, p95 ms", p95, MAX_MILLISECONDS, at_least=False)
            yield [Table(title, ["", "p50", "p95", "p50 of CPU time"], [row])], [goal]


def _measure_database(home: Path, create_database: CreateDatabase, models: int) -> list[Times]:
    """Fill a registry, and return the times of its checks: a workflow with other models each time."""
    with open_filled_team(home, create_database, models) as team:
        paths = _list_loadable_paths(team)
        source = random.Random(1)  # noqa: S311 - samples are no secrets
        unknown = [number % 2 * UNKNOWN_NAMES for number in range(ROUNDS)]
        workflows = [_build_workflow(source.sample(paths, LOADERS - count), count) for count in unknown]
        _add_machines(team)
        gc.collect()
        gc.freeze()
        return [_time(team, workflow) for workflow in workflows]


def _list_loadable_paths(team: FilledTeam) -> list[str]:
    """Return the paths of models that the nodes of ``INPUTS`` load, without those in the trash."""
    of_types = (ModelRow.canonical_type.in_(INPUTS), ModelRow.deleted_at.is_(None))
    with team.database.reading() as session:
        return list(session.scalars(select(ModelRow.model_path).where(*of_types).order_by(ModelRow.id)))


def _add_machines(team: FilledTeam) -> None:
    """Add machines, each of which has reported a thousand of the models that it should hold as ready."""
    key = team.registry.create_key("agent")
    for number in range(MACHINES):
        machine = Machine(key, f"render-{number:02}")
        machine.beat()
        desired = machine.manifest().json()["model_list"][:1_000]
        machine.begin(build_states(*(model["id"] for model in desired)))


def _build_workflow(paths: Sequence[str], unknown: int) -> bytes:
    """Return a workflow in API format that loads these models and so many that no team has."""
    nodes: dict[str, object] = {}
    for path in paths:
        kind, _, name = path.removeprefix("models/").partition("/")
        node_type, key = INPUTS[kind]
        nodes[str(len(nodes))] = {"class_type": node_type, "inputs": {key: name, "model": ["0", 0]}}
    for number in range(unknown):
        inputs = {"lora_name": f"style/unheard of {number}.safetensors", "strength_model": 1.0}
        nodes[str(len(nodes))] = {"class_type": "LoraLoaderModelOnly", "inputs": inputs}
    while len(nodes) < NODES:
        text = "a portrait in ink, 4k, <lora:none:0.5>" if len(nodes) % 50 == 0 else "a portrait in ink, 4k"
        nodes[str(len(nodes))] = {"class_type": "CLIPTextEncode", "inputs": {"text": text, "clip": ["0", 1]}}
    return json.dumps(nodes).encode()


def _time(team: FilledTeam, workflow: bytes) -> Times:
    """Return the milliseconds of a check, from the file's bytes to the response's JSON, and those of CPU time.

    On PostgreSQL the CPU time is without the database's.
    """
    began, began_cpu = time.perf_counter(), time.process_time()
    references = read_references(workflow)
    with team.database.reading() as session:
        to_json(check_workflow(session, team.owner, references))
    return (time.perf_counter() - began) * 1e3, (time.process_time() - began_cpu) * 1e3
