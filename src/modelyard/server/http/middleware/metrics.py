"""The Prometheus metrics of one process."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram


class Metrics:
    """The metrics of one process, with a registry of their own, so that two apps in one process are counted apart."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "modelyard_requests", "Answered requests.", ["method", "route", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "modelyard_request_seconds",
            "Time from the first byte of a request to the last of its answer.",
            ["route"],
            registry=self.registry,
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60),
        )
        self.open_requests = Gauge("modelyard_open_requests", "Requests being answered.", registry=self.registry)
        self.received = Counter("modelyard_received_bytes", "Bytes of request bodies.", registry=self.registry)
        self.sent = Counter("modelyard_sent_bytes", "Bytes of answers.", registry=self.registry)
        self._add_job_metrics()

    def _add_job_metrics(self) -> None:
        """Register the metrics of verification and of the periodic jobs."""
        self.blobs_read = Counter(
            "modelyard_blobs_read",
            "New files that were read to the end, by what was found: verified or failed.",
            ["found"],
            registry=self.registry,
        )
        self.bytes_verified = Counter(
            "modelyard_verification_bytes", "Bytes read to verify new files.", registry=self.registry
        )
        self.bytes_scrubbed = Counter(
            "modelyard_scrubbed_bytes", "Bytes of verified files that were read again.", registry=self.registry
        )
        self.bytes_hashed = Counter(
            "modelyard_hashed_bytes", "Bytes of verified files that were read for more hashes.", registry=self.registry
        )
        self.preview_searches = Counter(
            "modelyard_preview_searches",
            "Versions whose file was searched for a picture, by what was found: file, none, stock or failed.",
            ["found"],
            registry=self.registry,
        )
        self.corrupt_files = Counter(
            "modelyard_corrupt_files", "Verified files that were found corrupt or missing.", registry=self.registry
        )
        self.collected = Counter(
            "modelyard_collected_bytes", "Bytes that the clean-up removed from the store.", registry=self.registry
        )
        self.job_failures = Counter(
            "modelyard_job_failures", "Runs of jobs that failed and were retried.", ["job"], registry=self.registry
        )
        self.job_done = Gauge(
            "modelyard_job_done_timestamp_seconds",
            "When a job last ended in this process, also with nothing to do, in seconds since 1970.",
            ["job"],
            registry=self.registry,
        )
