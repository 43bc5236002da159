from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from modelyard.agent.report import Report, Reports, sentence
from modelyard.client.sync.acting.standing import Standing
from modelyard.wire.agents import MOST_STATES, ModelState, ReportedModel

THEN, NOW = datetime(2026, 11, 23, tzinfo=UTC), datetime(2026, 11, 24, tzinfo=UTC)


def standing(number: int, state: ModelState | None = "ready", bytes_done: int = 0, path: str = "") -> Standing:
    return Standing(UUID(int=number), path or f"loras/{number}.sft", state, bytes_done=bytes_done)


def serials() -> Iterator[str]:
    number = 0
    while True:
        number += 1
        yield f"s{number}"


def new_reports() -> Reports:
    return Reports(serials().__next__)


class Book:
    """What a registry knows by the reports, by the words of ``Heartbeat``."""

    def __init__(self) -> None:
        self.states: dict[UUID, ReportedModel] = {}
        self.series, self.number = "", 0

    def take(self, report: Report) -> bool:
        """Write it down; whether the answer is ``resend_all``."""
        begins = report.is_whole and report.whole_after is None and report.number == 1
        is_next = report.series == self.series and report.number - self.number in (0, 1) and bool(self.series)
        if not begins and not is_next:
            return True
        if report.is_whole:
            last = report.models[-1].model_id if report.models else None
            self.states = {
                model_id: told
                for model_id, told in self.states.items()
                if (report.whole_after is not None and model_id <= report.whole_after)
                or (not report.is_last and last is not None and model_id > last)
            }
        self.states |= {told.model_id: told for told in report.models}
        self.series, self.number = report.series, report.number
        return False


def talk(reports: Reports, book: Book) -> int:
    """Heartbeats until there is no news; how many."""
    count = 0
    while reports.has_news:
        report = reports.next_report()
        reports.answered(report, resend_all=book.take(report))
        count += 1
        assert count < 50
    return count


def test_nothing_is_reported_before_the_whole_is_known() -> None:
    reports = new_reports()
    assert not reports.has_news
    assert not reports.next_report().is_news


def test_all_states_are_told_first_and_then_what_changed() -> None:
    reports, book = new_reports(), Book()
    reports.settle([standing(1), standing(2, "wanted")])
    assert talk(reports, book) == 1
    reports.hear(standing(2, "downloading", 7))
    assert reports.next_report().models == (ReportedModel(model_id=UUID(int=2), state="downloading", bytes_done=7),)
    talk(reports, book)
    assert book.states == reports.states


def test_a_machine_without_models_says_so() -> None:
    reports, book = new_reports(), Book()
    book.states = {UUID(int=9): ReportedModel(model_id=UUID(int=9), state="ready")}
    reports.settle([])
    assert talk(reports, book) == 1
    assert book.states == {}


def test_the_whole_comes_in_parts_of_a_thousand() -> None:
    reports, book = new_reports(), Book()
    reports.settle([standing(number) for number in range(1, 2 * MOST_STATES + 2)])
    assert talk(reports, book) == 3
    assert book.states == reports.states


def test_no_report_is_longer_than_a_registry_reads() -> None:
    reports, book = new_reports(), Book()
    long = "\N{HIRAGANA LETTER A}" * 2000
    reports.settle([replace(standing(number, "conflict"), reason=long) for number in range(1, 500)])
    first = reports.next_report()
    assert sum(len(told.model_dump_json().encode()) for told in first.models) < 700_000
    talk(reports, book)
    assert book.states == reports.states


def test_a_report_whose_answer_was_lost_is_sent_again_under_its_number() -> None:
    reports = new_reports()
    reports.settle([standing(1)])
    sent = reports.next_report()
    reports.hear(standing(1, "failed"))
    assert reports.next_report() is sent


def test_what_changed_meanwhile_is_told_afterwards() -> None:
    reports, book = new_reports(), Book()
    reports.settle([standing(1)])
    sent = reports.next_report()
    reports.hear(standing(1, "failed"))
    reports.answered(sent, resend_all=book.take(sent))
    talk(reports, book)
    assert book.states[UUID(int=1)].state == "failed"


def test_a_registry_restored_from_a_backup_hears_everything_anew() -> None:
    reports, book = new_reports(), Book()
    reports.settle([standing(1), standing(2)])
    talk(reports, book)
    restored = Book()
    report = reports.next_report()
    reports.answered(report, resend_all=restored.take(report))
    talk(reports, restored)
    assert restored.states == book.states


def test_a_heartbeat_without_news_repeats_the_last_number() -> None:
    reports, book = new_reports(), Book()
    reports.settle([standing(1)])
    talk(reports, book)
    report = reports.next_report()
    assert (report.series, report.number, report.models, report.is_whole) == (book.series, book.number, (), False)


def test_a_model_whose_entry_changed_is_reported_again_though_its_state_is_what_it_was() -> None:
    reports, book = new_reports(), Book()
    reports.follow({UUID(int=1): THEN, UUID(int=2): THEN})
    reports.settle([standing(1), standing(2)])
    talk(reports, book)
    reports.follow({UUID(int=1): NOW, UUID(int=2): THEN})
    assert [told.model_id for told in reports.next_report().models] == [UUID(int=1)]


def test_a_model_that_left_the_manifest_and_came_back_is_reported_again() -> None:
    reports, book = new_reports(), Book()
    reports.follow({UUID(int=1): THEN})
    reports.settle([standing(1)])
    talk(reports, book)
    reports.follow({})
    reports.follow({UUID(int=1): THEN})
    assert reports.has_news


def test_of_two_places_of_one_model_the_worse_one_speaks() -> None:
    reports = new_reports()
    reports.settle([standing(1, "ready", path="loras/a.sft"), standing(1, "conflict", path="loras/a.sft")])
    assert reports.states[UUID(int=1)].state == "conflict"


def test_a_removed_model_is_not_reported() -> None:
    reports = new_reports()
    reports.settle([standing(1)])
    reports.settle([standing(1, None)])
    assert reports.states == {}


def test_any_text_becomes_a_sentence_that_a_heartbeat_carries() -> None:
    reason = sentence("a\nb\x00" + "x" * 5000)
    assert ReportedModel(model_id=UUID(int=1), state="failed", reason=reason).reason == reason


_steps = st.one_of(
    st.tuples(st.just("hear"), st.integers(1, 6), st.sampled_from(["wanted", "downloading", "ready", "failed"])),
    st.tuples(st.just("settle"), st.sets(st.integers(1, 6)), st.just("ready")),
    st.tuples(st.just("answered"), st.just(0), st.just("")),
    st.tuples(st.just("lost on the way"), st.just(0), st.just("")),
    st.tuples(st.just("answer lost"), st.just(0), st.just("")),
    st.tuples(st.just("restored"), st.just(0), st.just("")),
)


@given(st.lists(_steps, max_size=40))
def test_whatever_gets_lost_both_sides_agree_in_the_end(steps: list[tuple[str, int | set[int], ModelState]]) -> None:
    reports, book = new_reports(), Book()
    for what, which, state in steps:
        if what == "hear" and isinstance(which, int):
            reports.hear(standing(which, state))
        elif what == "settle" and isinstance(which, set):
            reports.settle([standing(number, state) for number in which])
        elif what == "answered":
            report = reports.next_report()
            reports.answered(report, resend_all=book.take(report))
        elif what == "answer lost":
            book.take(reports.next_report())
        elif what == "lost on the way":
            reports.next_report()
        elif what == "restored":
            book = Book()
    reports.settle([standing(number) for number in (1, 2, 3)])
    report = reports.next_report()
    reports.answered(report, resend_all=book.take(report))
    talk(reports, book)
    # The registry forgets by itself what the machine should not have.
    assert {told.model_id for told in reports.states.values()} <= book.states.keys()
    assert all(book.states[model_id] == told for model_id, told in reports.states.items())
