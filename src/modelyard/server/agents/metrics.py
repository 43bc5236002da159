"""Gauges of machines, read from the database at each scrape."""

from collections import Counter
from collections.abc import Iterator
from typing import get_args

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from modelyard.server.agents.desired_counts import DesiredCounts
from modelyard.server.agents.operations import count_machine_states
from modelyard.server.database.session import Database
from modelyard.wire.agents.values import MachineState
from modelyard.wire.problems import Problem


class MachineMetrics(Collector):
    """Gauges that are equal on every server of a registry; none is reported while the database does not answer."""

    def __init__(self, database: Database, desired_counts: DesiredCounts) -> None:
        self._database = database
        self._desired_counts = desired_counts

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """Yield the families without a query, for registration."""
        yield _build_family(Counter())

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Query the database and yield the gauges; none if it does not answer."""
        try:
            with self._database.reading() as session:
                counts = count_machine_states(session, self._desired_counts)
        except Problem:
            return
        yield _build_family(counts)


def _build_family(counts: Counter[MachineState]) -> GaugeMetricFamily:
    """Return the gauge of machines, with a value for each state."""
    family = GaugeMetricFamily("modelyard_machines", "Machines of all teams by their state.", labels=["state"])
    for state in get_args(MachineState):
        family.add_metric([state], counts[state])
    return family
