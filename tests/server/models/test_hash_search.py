"""Lists filtered by hashes of content, with ``file_hash`` and ``q``, on both databases."""

import pytest

from modelyard.server.database.engine import is_sqlite
from modelyard.server.database.session import Database
from modelyard.server.http.paging import Page
from modelyard.server.models.lookups.operations import look_up_models
from modelyard.server.models.responses.lookup_result import build_records
from modelyard.server.teams.operations import TRASH_DAYS
from modelyard.wire.hashes.lookups import ModelLookup
from tests.server.models.model_factory import BEGAN, ModelSpec, TeamModels
from tests.server.models.test_query_plans import assert_no_full_table_scan
from tests.server.query_plans import record_queries

SHA256, BLAKE3, AUTOV3 = "5a" * 32, "b3" * 32, "a3" * 32
AUTOV1, CRC32 = "a1a1a1a1", "c3c3c3c3"
HASHES = {"sha256": SHA256, "blake3": BLAKE3, "autov3": AUTOV3, "autov1": AUTOV1, "crc32": CRC32}
SAME_FIRST_DIGITS = SHA256[:12] + "f" * 52


@pytest.fixture
def hashed_models(team_models: TeamModels) -> TeamModels:
    """A team with models of two contents, of which one has the name *twin*, and a model whose name has a hash."""
    blob = team_models.insert_blob(**HASHES)
    other_blob = team_models.insert_blob(sha256=SAME_FIRST_DIGITS)
    team_models.insert(
        [
            ModelSpec("ink", 1, columns={"blob_id": blob}),
            ModelSpec("twin", 2, ("wide",), columns={"blob_id": blob}),
            ModelSpec("other", 3, columns={"blob_id": other_blob}),
            ModelSpec("deleted", 4, columns={"blob_id": blob, "deleted_at": BEGAN}),
            ModelSpec(f"named {SHA256[:10]}", 5),
        ]
    )
    return team_models


@pytest.mark.parametrize(
    ("file_hash", "names"),
    [
        (SHA256, ["twin", "ink"]),
        (f"SHA256:{SHA256.upper()}", ["twin", "ink"]),
        (f"sha256:{SHA256[:8]}", ["other", "twin", "ink"]),
        (SHA256[:13], ["twin", "ink"]),
        (f"AutoV2:{SHA256[:10]}", ["other", "twin", "ink"]),
        (SAME_FIRST_DIGITS, ["other"]),
        (BLAKE3, ["twin", "ink"]),
        (f"blake3:{BLAKE3[:20]}", ["twin", "ink"]),
        (AUTOV3[:12], ["twin", "ink"]),
        (f"0x{AUTOV3}", ["twin", "ink"]),
        (AUTOV1.upper(), ["twin", "ink"]),
        (CRC32.upper(), ["twin", "ink"]),
        (f"crc32:{AUTOV1}", []),
        (f"blake3:{SHA256}", []),
        ("0" * 63 + "1", []),
        (AUTOV1 + "0", []),
    ],
)
def test_list_models_by_file_hash_returns_models_with_the_content(
    hashed_models: TeamModels, file_hash: str, names: list[str]
) -> None:
    assert hashed_models.list_names(file_hash=file_hash) == names


@pytest.mark.parametrize(
    ("q", "names"),
    [
        (SHA256, ["twin", "ink"]),
        (SHA256[:10], [f"named {SHA256[:10]}", "other", "twin", "ink"]),
        (f"named {SHA256[:10]}", [f"named {SHA256[:10]}"]),
        (f"twin {SHA256.upper()}", ["twin"]),
        (f"{CRC32} {AUTOV1}", ["twin", "ink"]),
        (f"{CRC32} wide", ["twin"]),
        (f"{CRC32} deadbeef", []),
        (SHA256[:7], [f"named {SHA256[:10]}"]),
    ],
)
def test_search_word_matches_a_hash_or_the_text(hashed_models: TeamModels, q: str, names: list[str]) -> None:
    assert hashed_models.list_names(q=q) == names


def test_hash_filters_combine_with_other_filters_and_sorts(hashed_models: TeamModels) -> None:
    assert hashed_models.list_names(file_hash=CRC32, tag="wide") == ["twin"]
    assert hashed_models.list_names(q=CRC32, tag="wide", file_hash=SHA256) == ["twin"]
    assert hashed_models.list_names(file_hash=CRC32, sort="display_name") == ["ink", "twin"]
    assert hashed_models.list_names(q=CRC32, sort="display_name") == ["ink", "twin"]
    assert hashed_models.list_names(file_hash=CRC32, deleted=True) == ["deleted"]
    assert hashed_models.list_names(q=CRC32, deleted=True) == ["deleted"]


def test_hash_filters_find_no_model_of_another_team(hashed_models: TeamModels) -> None:
    other_team = TeamModels(hashed_models.database)
    other_team.insert([ModelSpec("theirs")])
    assert other_team.list_names(file_hash=SHA256) == []
    assert other_team.list_names(q=CRC32) == []


def build_sha256(number: int) -> str:
    return f"{number:08x}" * 8


def build_crc32(number: int) -> str:
    return f"c{number:07x}"


@pytest.fixture(scope="module")
def large_team(database: Database) -> TeamModels:
    team_models = TeamModels(database)
    blobs = [team_models.insert_blob(sha256=build_sha256(number), crc32=build_crc32(number)) for number in range(300)]
    team_models.insert(
        ModelSpec(f"sketch {number}", number, columns={"blob_id": blobs[number % 300]}) for number in range(6_000)
    )
    if not is_sqlite(team_models.database.engine):
        with team_models.database.engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
            connection.exec_driver_sql("VACUUM ANALYZE")
    return team_models


@pytest.mark.parametrize(
    "filters",
    [
        {"file_hash": build_sha256(7)},
        {"file_hash": build_crc32(7)},
        {"q": build_sha256(7)},
        {"q": build_crc32(7), "sort": "display_name"},
        {"q": f"sketch {build_crc32(7)}"},
        {"file_hash": build_crc32(7), "sort": "-file_size"},
    ],
)
def test_list_models_by_hash_reads_only_indexes(large_team: TeamModels, filters: dict[str, str]) -> None:
    with record_queries(large_team.database.engine) as statements:
        assert len(large_team.list_names(**filters)) == 20
    with large_team.database.engine.connect() as connection:
        plans = "\n".join(statements.plans(connection))
    assert_no_full_table_scan(plans)
    assert "ix_blobs_team_id_" in plans
    assert "ix_model_versions_blob_id" in plans


def test_search_word_that_is_no_hash_of_a_blob_keeps_the_plan(large_team: TeamModels) -> None:
    with record_queries(large_team.database.engine) as statements:
        assert large_team.list_names(q="sketch deadbeef") == []
    assert not any("model_versions" in statement for statement, _ in statements.sent)


def test_lookup_reads_only_indexes(large_team: TeamModels) -> None:
    hashes = [build_sha256(number) for number in range(100)] + [build_crc32(number) for number in range(100, 140)]
    ids = [model.id for model in large_team.list_page(Page(1, 50, None)).models]
    lookup = ModelLookup(hashes=hashes, paths=["loras/none.safetensors"], ids=ids, records=True)
    with record_queries(large_team.database.engine) as statements, large_team.database.reading() as session:
        found = look_up_models(session, large_team.team, lookup)
        build_records(session, large_team.team, found, TRASH_DAYS)
    assert len(found["match_list"]) == 140 * 20 + 50
    assert found["capped_list"] == []
    with large_team.database.engine.connect() as connection:
        plans = "\n".join(statements.plans(connection))
    assert_no_full_table_scan(plans)
    assert "Seq Scan on blobs" not in plans
    assert "Seq Scan on model" not in plans
    for table in ("blobs", "model_versions", "models"):
        assert f"SCAN {table}" not in plans
    assert "ix_blobs_verified_sha256" in plans
    for index in ("ix_blobs_team_id_crc32", "ix_model_versions_blob_id"):
        assert index in plans
