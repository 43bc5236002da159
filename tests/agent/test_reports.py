from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from modelyard.agent.registry.reports import Report, Reports, to_report_text
from modelyard.sync.apply.replica_states import ReplicaState
from modelyard.wire.agents.heartbeats import ReportedModel
from modelyard.wire.agents.values import MAX_HEARTBEAT_STATES, ModelState

THEN, NOW = datetime(2026, 11, 23, tzinfo=UTC), datetime(2026, 11, 24, tzinfo=UTC)


def build_replica_state(
    number: int, state: ModelState | None = "ready", bytes_done: int = 0, path: str = ""
) -> ReplicaState:
    return ReplicaState(UUID(int=number), path or f"loras/{number}.sft", state, bytes_done=bytes_done)


def generate_series() -> Iterator[str]:
    number = 0
    while True:
        number += 1
        yield f"s{number}"


def new_reports() -> Reports:
    return Reports(generate_series().__next__)


class SimulatedRegistry:
    """A registry's side of the report protocol in ``wire.agents.heartbeats.Heartbeat``."""

    def __init__(self) -> None:
        self.states: dict[UUID, ReportedModel] = {}
        self.series, self.number = "", 0

    def receive(self, report: Report) -> bool:
        """Store a report; return whether the answer is ``resend_all``."""
        begins = report.is_whole and report.whole_after is None and report.number == 1
        is_next = report.series == self.series and report.number - self.number in (0, 1) and bool(self.series)
        if not begins and not is_next:
            return True
        if report.is_whole:
            last = report.models[-1].model_id if report.models else None
            self.states = {
                model_id: reported
                for model_id, reported in self.states.items()
                if (report.whole_after is not None and model_id <= report.whole_after)
                or (not report.is_last and last is not None and model_id > last)
            }
        self.states |= {reported.model_id: reported for reported in report.models}
        self.series, self.number = report.series, report.number
        return False


def send_all_reports(reports: Reports, registry: SimulatedRegistry) -> int:
    """Send heartbeats until everything is reported; return how many were sent."""
    count = 0
    while reports.has_unreported:
        report = reports.get_next_report()
        reports.record_answer(report, resend_all=registry.receive(report))
        count += 1
        assert count < 50
    return count


def test_reports_before_all_states_are_set_are_empty() -> None:
    reports = new_reports()
    assert not reports.has_unreported
    assert not reports.get_next_report().is_new


def test_reports_send_all_states_then_only_changes() -> None:
    reports, registry = new_reports(), SimulatedRegistry()
    reports.set_all_states([build_replica_state(1), build_replica_state(2, "queued")])
    assert send_all_reports(reports, registry) == 1
    reports.set_state(build_replica_state(2, "downloading", 7))
    assert reports.get_next_report().models == (ReportedModel(model_id=UUID(int=2), state="downloading", bytes_done=7),)
    send_all_reports(reports, registry)
    assert registry.states == reports.states


def test_reports_without_models_send_empty_full_set() -> None:
    reports, registry = new_reports(), SimulatedRegistry()
    registry.states = {UUID(int=9): ReportedModel(model_id=UUID(int=9), state="ready")}
    reports.set_all_states([])
    assert send_all_reports(reports, registry) == 1
    assert registry.states == {}


def test_reports_more_states_than_one_heartbeat_carries_are_sent_in_parts() -> None:
    reports, registry = new_reports(), SimulatedRegistry()
    reports.set_all_states([build_replica_state(number) for number in range(1, 2 * MAX_HEARTBEAT_STATES + 2)])
    assert send_all_reports(reports, registry) == 3
    assert registry.states == reports.states


def test_get_next_report_long_reasons_stay_below_body_limit() -> None:
    reports, registry = new_reports(), SimulatedRegistry()
    long = "\N{HIRAGANA LETTER A}" * 2000
    reports.set_all_states([replace(build_replica_state(number, "conflict"), reason=long) for number in range(1, 500)])
    first = reports.get_next_report()
    assert sum(len(reported.model_dump_json().encode()) for reported in first.models) < 700_000
    send_all_reports(reports, registry)
    assert registry.states == reports.states


def test_get_next_report_before_answer_returns_same_report() -> None:
    reports = new_reports()
    reports.set_all_states([build_replica_state(1)])
    sent = reports.get_next_report()
    reports.set_state(build_replica_state(1, "failed"))
    assert reports.get_next_report() is sent


def test_reports_change_during_request_is_sent_next() -> None:
    reports, registry = new_reports(), SimulatedRegistry()
    reports.set_all_states([build_replica_state(1)])
    sent = reports.get_next_report()
    reports.set_state(build_replica_state(1, "failed"))
    reports.record_answer(sent, resend_all=registry.receive(sent))
    send_all_reports(reports, registry)
    assert registry.states[UUID(int=1)].state == "failed"


def test_reports_to_restored_registry_send_all_states_again() -> None:
    reports, registry = new_reports(), SimulatedRegistry()
    reports.set_all_states([build_replica_state(1), build_replica_state(2)])
    send_all_reports(reports, registry)
    restored = SimulatedRegistry()
    report = reports.get_next_report()
    reports.record_answer(report, resend_all=restored.receive(report))
    send_all_reports(reports, restored)
    assert restored.states == registry.states


def test_get_next_report_without_changes_is_empty_with_last_number() -> None:
    reports, registry = new_reports(), SimulatedRegistry()
    reports.set_all_states([build_replica_state(1)])
    send_all_reports(reports, registry)
    report = reports.get_next_report()
    assert (report.series, report.number, report.models, report.is_whole) == (
        registry.series,
        registry.number,
        (),
        False,
    )


def test_reports_changed_manifest_entry_sends_unchanged_state_again() -> None:
    reports, registry = new_reports(), SimulatedRegistry()
    reports.set_manifest_entries({UUID(int=1): THEN, UUID(int=2): THEN})
    reports.set_all_states([build_replica_state(1), build_replica_state(2)])
    send_all_reports(reports, registry)
    reports.set_manifest_entries({UUID(int=1): NOW, UUID(int=2): THEN})
    assert [reported.model_id for reported in reports.get_next_report().models] == [UUID(int=1)]


def test_reports_changed_version_sends_unchanged_state_again() -> None:
    reports, registry = new_reports(), SimulatedRegistry()
    first = replace(build_replica_state(1), version=1)
    reports.set_all_states([first, replace(build_replica_state(2), version=1)])
    send_all_reports(reports, registry)
    reports.set_state(replace(first, version=2))
    ready = ReportedModel(model_id=UUID(int=1), version=2, model_path="loras/1.sft", state="ready")
    assert reports.get_next_report().models == (ready,)


def test_reports_ready_model_has_the_path_of_its_plan_until_the_next_one() -> None:
    reports, registry = new_reports(), SimulatedRegistry()
    reports.set_manifest_entries({UUID(int=1): THEN})
    reports.set_all_states([build_replica_state(1, path="loras/old.sft")])
    send_all_reports(reports, registry)
    reports.set_manifest_entries({UUID(int=1): NOW})
    send_all_reports(reports, registry)
    assert registry.states[UUID(int=1)].model_path == "loras/old.sft"
    reports.set_all_states([build_replica_state(1, path="loras/new.sft")])
    send_all_reports(reports, registry)
    assert registry.states[UUID(int=1)].model_path == "loras/new.sft"


def test_reports_entry_removed_from_manifest_and_added_again_has_unreported_state() -> None:
    reports, registry = new_reports(), SimulatedRegistry()
    reports.set_manifest_entries({UUID(int=1): THEN})
    reports.set_all_states([build_replica_state(1)])
    send_all_reports(reports, registry)
    reports.set_manifest_entries({})
    reports.set_manifest_entries({UUID(int=1): THEN})
    assert reports.has_unreported


def test_reports_model_in_two_installs_uses_worst_state() -> None:
    reports = new_reports()
    reports.set_all_states(
        [build_replica_state(1, "ready", path="loras/a.sft"), build_replica_state(1, "conflict", path="loras/a.sft")]
    )
    assert reports.states[UUID(int=1)].state == "conflict"


def test_reports_removed_model_is_dropped() -> None:
    reports = new_reports()
    reports.set_all_states([build_replica_state(1)])
    reports.set_all_states([build_replica_state(1, None)])
    assert reports.states == {}


def test_to_report_text_of_long_unprintable_text_is_a_valid_reason() -> None:
    reason = to_report_text("a\nb\x00" + "x" * 5000)
    assert ReportedModel(model_id=UUID(int=1), state="failed", reason=reason).reason == reason


_steps = st.one_of(
    st.tuples(st.just("set one"), st.integers(1, 6), st.sampled_from(["queued", "downloading", "ready", "failed"])),
    st.tuples(st.just("set all"), st.sets(st.integers(1, 6)), st.just("ready")),
    st.tuples(st.just("answered"), st.just(0), st.just("")),
    st.tuples(st.just("request lost"), st.just(0), st.just("")),
    st.tuples(st.just("answer lost"), st.just(0), st.just("")),
    st.tuples(st.just("restored"), st.just(0), st.just("")),
)


@given(st.lists(_steps, max_size=40))
def test_reports_after_lost_requests_and_answers_registry_has_all_states(
    steps: list[tuple[str, int | set[int], ModelState]],
) -> None:
    reports, registry = new_reports(), SimulatedRegistry()
    for step, ids, state in steps:
        if step == "set one" and isinstance(ids, int):
            reports.set_state(build_replica_state(ids, state))
        elif step == "set all" and isinstance(ids, set):
            reports.set_all_states([build_replica_state(number, state) for number in ids])
        elif step == "answered":
            report = reports.get_next_report()
            reports.record_answer(report, resend_all=registry.receive(report))
        elif step == "answer lost":
            registry.receive(reports.get_next_report())
        elif step == "request lost":
            reports.get_next_report()
        elif step == "restored":
            registry = SimulatedRegistry()
    reports.set_all_states([build_replica_state(number) for number in (1, 2, 3)])
    report = reports.get_next_report()
    reports.record_answer(report, resend_all=registry.receive(report))
    send_all_reports(reports, registry)
    # The registry itself deletes states of models that the machine should not have.
    assert {reported.model_id for reported in reports.states.values()} <= registry.states.keys()
    assert all(registry.states[model_id] == reported for model_id, reported in reports.states.items())
