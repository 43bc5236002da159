"""Calls that share requests: what each gets, and how few requests many files need."""

import asyncio
import json
import re
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID, uuid4

import httpx2
import pytest

from modelyard.client.api.batched_calls import BatchedCalls
from modelyard.client.api.coalescing import Coalescer
from modelyard.client.api.registry import RegistryApi
from modelyard.client.imports import EndedImport, RefusedImport, run_imports
from modelyard.client.settings import ClientSettings
from modelyard.client.transfers.batch import push_all
from modelyard.client.transfers.collect import Notes, PushRequest
from modelyard.client.transfers.push import Pusher
from modelyard.client.transfers.push_results import PushSucceeded
from modelyard.transfer.errors import BadResponse
from modelyard.wire import problems
from modelyard.wire.imports.jobs import NewImport
from modelyard.wire.models import Model
from modelyard.wire.uploads import UploadRequest
from tests.client.model_files import write_model_file
from tests.client.scripted_server import Responses
from tests.waiting import wait_until_async

_FILES = 120
_REQUESTS_TOTAL = re.compile(r'^modelyard_requests_total\{method="(\w+)",route="([^"]+)".*\} (\d+)', re.MULTILINE)
# How many requests to ``/readyz`` each server has had: only ``count_requests`` sends some.
_LAST_REQUESTS: dict[str, int] = {}


class Numbers:
    """A service that doubles numbers, one or many a request, and refuses odd ones.

    Of ``busy``, each number is answered with a problem that may pass, once for each time that it is in the list.
    """

    def __init__(self, *busy: int) -> None:
        self.busy = list(busy)
        self.requests: list[list[int]] = []
        self.refusal: problems.Problem | None = None
        self.max_items = 100

    async def double(self, number: int) -> int:
        self.requests.append([number])
        return number * 2

    async def double_all(self, numbers: Sequence[int]) -> list[int | problems.Problem]:
        self.requests.append(list(numbers))
        await asyncio.sleep(0)
        if self.refusal is not None:
            raise self.refusal
        if len(numbers) > self.max_items:
            raise problems.BodyTooLarge("Too large.")
        return [self._answer(number) for number in numbers]

    def _answer(self, number: int) -> int | problems.Problem:
        if number in self.busy:
            self.busy.remove(number)
            return problems.VerificationQueueFull("Later.", retry_after=1)
        return problems.InvalidRequest("Odd.") if number % 2 else number * 2


async def call_all(service: Numbers, numbers: Sequence[int]) -> list[int | BaseException]:
    coalescer = Coalescer(service.double, service.double_all, 100)
    return await asyncio.gather(*(coalescer.call(number) for number in numbers), return_exceptions=True)


async def test_calls_made_at_once_share_requests_and_each_gets_its_own_answer() -> None:
    service = Numbers()
    answers = await call_all(service, range(0, 500, 2))
    assert answers == list(range(0, 1000, 4))
    assert [len(request) for request in service.requests] == [100, 100, 50]


async def test_refused_item_raises_only_in_its_own_call() -> None:
    answers = await call_all(Numbers(), [2, 3, 4])
    assert [answers[0], answers[2]] == [4, 8]
    assert isinstance(answers[1], problems.InvalidRequest)


async def test_failed_batch_raises_in_each_of_its_calls() -> None:
    service = Numbers()
    service.refusal = problems.Unauthenticated("No.")
    answers = await call_all(service, [2, 4])
    assert answers == [service.refusal, service.refusal]


async def test_items_that_the_registry_could_not_answer_now_are_sent_again_together() -> None:
    service = Numbers(4, 6, 4)
    assert await call_all(service, [2, 4, 6]) == [4, 8, 12]
    assert service.requests == [[2, 4, 6], [4, 6], [4]]


async def test_items_of_a_batch_of_which_none_was_answered_are_sent_alone() -> None:
    service = Numbers(2, 4)
    assert await call_all(service, [2, 4]) == [4, 8]
    assert service.requests == [[2, 4], [2], [4]]


async def test_batch_with_another_number_of_answers_fails_in_each_call() -> None:
    async def answer_one(numbers: Sequence[int]) -> list[int | problems.Problem]:
        return [numbers[0]]

    service = Numbers()
    coalescer = Coalescer(service.double, answer_one, 100)
    answers = await asyncio.gather(*(coalescer.call(number) for number in (2, 4)), return_exceptions=True)
    assert [type(answer) for answer in answers] == [BadResponse, BadResponse]


async def test_batch_above_the_size_limit_is_sent_in_halves() -> None:
    service = Numbers()
    service.max_items = 30
    assert await call_all(service, range(0, 200, 2)) == list(range(0, 400, 4))
    assert [len(request) for request in service.requests] == [100, 50, 25, 25, 50, 25, 25]


@pytest.mark.parametrize("refusal", [problems.RouteNotFound("No route."), problems.MethodNotAllowed("No method.")])
async def test_registry_without_batches_gets_single_requests(refusal: problems.Problem) -> None:
    service = Numbers()
    service.refusal = refusal
    assert await call_all(service, [2, 4]) == [4, 8]
    assert service.requests == [[2, 4], [2], [4]]


async def test_single_call_is_a_single_request() -> None:
    service = Numbers()
    assert await call_all(service, [7]) == [14]
    assert service.requests == [[7]]


async def test_cancelled_call_is_left_out_of_its_batch() -> None:
    service = Numbers()
    coalescer = Coalescer(service.double, service.double_all, 100)
    calls = [asyncio.ensure_future(coalescer.call(number)) for number in (2, 4, 6)]
    await asyncio.sleep(0)
    calls[1].cancel()
    first, _, last = await asyncio.gather(*calls, return_exceptions=True)
    assert (first, last) == (4, 12)
    assert service.requests == [[2, 6]]


async def test_batched_calls_have_the_problems_of_their_single_requests(registry: RegistryApi) -> None:
    def build_upload(path: str) -> UploadRequest:
        return UploadRequest(file_name="ink.safetensors", file_size=10, model_type="loras", model_path=path)

    calls, unknown = BatchedCalls(registry), uuid4()
    answers = await asyncio.gather(
        *(calls.presign_upload(build_upload(path)) for path in ("loras/a.safetensors", "loras/../b.safetensors")),
        *(calls.download_ticket(unknown) for _ in range(2)),
        *(calls.get_model(unknown) for _ in range(2)),
        *(calls.find_model_at("loras", f"loras/{name}.safetensors") for name in "ab"),
        return_exceptions=True,
    )
    kinds = [problems.ModelPathRefused] + [problems.ModelNotFound] * 4
    assert [type(answer) for answer in answers[1:6]] == kinds
    with pytest.raises(problems.ModelPathRefused) as single:
        await registry.presign_upload(build_upload("loras/../b.safetensors"))
    batched = answers[1]
    assert isinstance(batched, problems.ModelPathRefused)
    single.value.facts.pop("request_id")
    assert (batched.detail, batched.facts) == (single.value.detail, single.value.facts)
    assert (answers[6], answers[7]) == (None, None)


async def count_requests(url: str) -> dict[str, int]:
    """Return how many requests of the API each method and route has had, until now."""
    counts: dict[str, int] = {}
    async with httpx2.AsyncClient() as client:
        await client.get(f"{url}/readyz")
        _LAST_REQUESTS[url] = _LAST_REQUESTS.get(url, 0) + 1

        async def read_counts() -> bool:
            """The server renews its counts once a second: read them until they include the request above."""
            text = (await client.get(f"{url}/metrics")).text
            counts.clear()
            for method, route, count in _REQUESTS_TOTAL.findall(text):
                if not route.startswith(("/blobs", "/metrics")):
                    counts[f"{method} {route}"] = counts.get(f"{method} {route}", 0) + int(count)
            return counts.get("GET /readyz") == _LAST_REQUESTS[url]

        await wait_until_async(read_counts)
    del counts["GET /readyz"]
    return counts


def subtract(after: dict[str, int], before: dict[str, int]) -> dict[str, int]:
    """Return how many requests each route has had between two counts."""
    more = {route: count - before.get(route, 0) for route, count in after.items()}
    return {route: count for route, count in more.items() if count}


async def push_files(registry: RegistryApi, settings: ClientSettings, files: Sequence[Path]) -> list[str]:
    """Push files, and return what became of each."""
    pusher = Pusher(registry, settings, lambda _: None)
    requests = [PushRequest(file, "loras", f"models/loras/{file.name}", None, Notes(), False) for file in files]
    results = await push_all(pusher, requests, lambda _: None)
    assert all(isinstance(result, PushSucceeded) for result in results), results
    return [result.outcome for result in results if isinstance(result, PushSucceeded)]


@pytest.fixture
async def model(registry: RegistryApi, settings: ClientSettings, tmp_path: Path) -> Model:
    """A model of the registry."""
    file = write_model_file(tmp_path / "ink.safetensors", 2000)
    assert await push_files(registry, settings, [file]) == ["registered"]
    [model] = (await registry.list_models()).model_list
    return model


def build_match(model_id: UUID) -> dict[str, object]:
    """Return the match of a model that was found by its id."""
    same = {"matched_by": "id", "version": 1, "model_path": "models/loras/ink.safetensors"}
    return {"asked": str(model_id), "id": str(model_id)} | same


async def test_records_that_a_lookup_leaves_out_are_looked_up_again(
    model: Model, responses: Responses, url: str
) -> None:
    models = [model, *(model.model_copy(update={"id": uuid4()}) for _ in range(3))]
    records = [each.model_dump(mode="json") for each in models]
    matches = [build_match(each.id) for each in models]
    # The last one is deleted meanwhile.
    for found, part, has_more in ((matches, records[:1], True), ([], records[1:2], True), ([], records[2:3], False)):
        responses.add(200, {"match_list": found, "model_list": part, "has_more_records": has_more})
    async with RegistryApi(url, "sk-x", None) as scripted:
        calls = BatchedCalls(scripted)
        answers = await asyncio.gather(*(calls.get_model(each.id) for each in models), return_exceptions=True)
    assert answers[:3] == models[:3]
    assert isinstance(answers[3], problems.ModelNotFound)
    assert [len(json.loads(body)["ids"]) for _, _, _, body in responses.requests] == [4, 3, 2]


async def test_records_of_a_registry_that_repeats_them_are_not_asked_for_again_and_again(
    model: Model, responses: Responses, url: str
) -> None:
    ids = [model.id, uuid4()]
    records = [model.model_dump(mode="json")]
    responses.add(200, {"match_list": [*map(build_match, ids)], "model_list": records, "has_more_records": True})
    async with RegistryApi(url, "sk-x", None) as scripted:
        calls = BatchedCalls(scripted)
        answers = await asyncio.gather(*map(calls.get_model, ids), return_exceptions=True)
    assert [type(answer) for answer in answers] == [Model, problems.ModelNotFound]
    assert len(responses.requests) == 2


@pytest.mark.slow
@pytest.mark.flaky(
    reason="counts requests that are shared only if calls meet in time; hold each request until all calls are made"
)
async def test_many_known_files_need_few_requests(
    registry: RegistryApi, settings: ClientSettings, tmp_path: Path
) -> None:
    files = [write_model_file(tmp_path / f"{number}.safetensors", 2000, seed=number) for number in range(_FILES)]
    assert await push_files(registry, settings, files) == ["registered"] * _FILES
    before = await count_requests(registry.url)
    assert await push_files(registry, settings, files) == ["already there"] * _FILES
    requests = subtract(await count_requests(registry.url), before)
    assert requests.keys() <= {
        *("POST /models/lookup", "POST /models/download-batch"),
        "GET /models/{model_id}/download",  # of a file that no other joined
    }
    assert sum(requests.values()) <= 0.1 * _FILES, requests


@pytest.mark.slow
@pytest.mark.flaky(
    reason="counts requests that are shared only if calls meet in time, and polls, which last as long as verification;"
    " hold each request until all calls are made"
)
async def test_many_new_files_are_presigned_together_and_polled_together(
    registry: RegistryApi, settings: ClientSettings, tmp_path: Path
) -> None:
    files = [write_model_file(tmp_path / f"{number}.safetensors", 3000, seed=number) for number in range(_FILES)]
    before = await count_requests(registry.url)
    await push_files(registry, settings, files)
    requests = subtract(await count_requests(registry.url), before)
    assert requests.get("POST /models/presign", 0) + requests["POST /models/presign-batch"] <= 0.25 * _FILES, requests
    assert requests["POST /models/register-batch"] <= 0.25 * _FILES, requests
    assert sum(requests.values()) < _FILES, requests


@pytest.mark.slow
async def test_imports_started_together_share_a_request_and_a_refused_one_has_its_problem(
    registry: RegistryApi,
) -> None:
    def build_import(path: str) -> NewImport:
        url = "https://127.0.0.1/ink.safetensors"  # refused without a connection, when it is run
        return NewImport(url=url, file_size=10, display_name="Ink", model_type="loras", model_path=path)

    before = await count_requests(registry.url)
    paths = ("loras/a.safetensors", "loras/../b.safetensors", "loras/c.safetensors")
    imports = [build_import(path) for path in paths]
    first, refused, last = await run_imports(registry, imports, lambda: lambda _: None, lambda *_: None)
    assert isinstance(refused, RefusedImport)
    assert isinstance(refused.problem, problems.ModelPathRefused)
    for ended, path in ((first, paths[0]), (last, paths[2])):
        assert isinstance(ended, EndedImport)
        assert (ended.record.model_path, ended.record.import_state) == (path, "failed")
    requests = subtract(await count_requests(registry.url), before)
    assert {route: count for route, count in requests.items() if route.startswith("POST /imports")} == {
        "POST /imports/start-batch": 1
    }
