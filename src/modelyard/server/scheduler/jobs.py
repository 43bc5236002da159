"""The jobs of a process: verification, scrub, hashes, inspection, imports, and smaller ones."""

from datetime import timedelta
from functools import partial

from modelyard.server.collections.due_machines import has_due_machines, update_due_machines
from modelyard.server.collections.rollouts.job import RolloutAdvancer
from modelyard.server.garbage.collection import collect_garbage
from modelyard.server.garbage.run_state import RunOptions
from modelyard.server.http.middleware.metrics import Metrics
from modelyard.server.identity.operations import delete_expired_identity_rows
from modelyard.server.imports.operations import IMPORT_QUEUED, delete_old_imports
from modelyard.server.imports.runs.importer import Importer
from modelyard.server.imports.source_check_runs import SOURCE_CHECK_STARTED, SourceChecker
from modelyard.server.imports.sources.lookup import open_sources
from modelyard.server.leases import Interruption, JobLease
from modelyard.server.models.objects.checks import ObjectChecks
from modelyard.server.models.replicas.unhealthy import record_unhealthy_agents
from modelyard.server.outbound.client import Limits
from modelyard.server.previews.extraction import PreviewExtractor
from modelyard.server.resources import Resources
from modelyard.server.scheduler.job import Job, build_exclusive_job, build_paged_job, leased, run_pages
from modelyard.server.teams.quota_events import record_quota_events
from modelyard.server.uploads.content_states import BLOB_PENDING
from modelyard.server.verification.hash_completion import HashCompleter
from modelyard.server.verification.reinspection import Reinspector
from modelyard.server.verification.scrub import RECHECK_RATE, Scrubber
from modelyard.server.verification.worker import Verifier
from modelyard.server.webhooks.deliveries import delete_old_deliveries
from modelyard.server.webhooks.publishing import DELIVERY_DUE, publish_events
from modelyard.server.webhooks.sender import Sender
from modelyard.server.webhooks.sender_share import SENDER_THREADS


def build_jobs(resources: Resources, metrics: Metrics) -> list[Job]:
    """Return the jobs of a process; verification and scrub only if the settings enable them."""
    return [
        *_build_verification(resources, metrics),
        *_build_scrub(resources, metrics),
        _build_rechecks(resources, metrics),
        *_build_hash_completion(resources, metrics),
        *_build_preview_extraction(resources, metrics),
        *_build_reinspection(resources),
        *_build_imports(resources, metrics),
        *_build_source_checks(resources),
        _build_clean_up(resources, metrics, "clean-up", timedelta(hours=1), is_thorough=False),
        _build_clean_up(resources, metrics, "thorough clean-up", timedelta(days=1), is_thorough=True),
        _build_key_use(resources),
        # The names of jobs are stored with their leases, and are labels of metrics.
        build_paged_job(resources, "offline machines", timedelta(minutes=1), record_unhealthy_agents),
        _build_due_machines(resources),
        _build_rollouts(resources),
        build_paged_job(
            resources, "quotas", timedelta(minutes=1), partial(record_quota_events, settings=resources.settings)
        ),
        *_build_webhooks(resources),
    ]


def _build_verification(resources: Resources, metrics: Metrics) -> list[Job]:
    """Build the job that verifies new uploads, in ``verification_workers`` threads; none if that is 0."""
    workers = resources.settings.verification_workers
    if workers == 0:
        return []
    database, store, requests = resources.database, resources.store, resources.recheck_requests
    objects = ObjectChecks(database, store, metrics, requests)
    verifier = Verifier(objects, resources.capabilities, metrics, workers=workers)
    return [
        Job("verification", 1.0, verifier.verify_next, threads=workers, stop=verifier.stop, wakes_on=BLOB_PENDING),
    ]


def _build_scrub(resources: Resources, metrics: Metrics) -> list[Job]:
    """Build the job that re-verifies all blobs that are due, in one process at a time; none if the rate is 0."""
    rate = resources.settings.scrub_rate
    if rate == 0:
        return []
    scrubber = Scrubber(resources.database, resources.store, metrics, rate)

    def scrub() -> bool:
        """Scrub until no blob is due; return True, also if it was interrupted between two blobs."""
        while scrubber.scrub_next():
            pass
        return True

    return [build_exclusive_job(resources, "scrubber", timedelta(minutes=1), scrub, scrubber.interruption)]


def _build_rechecks(resources: Resources, metrics: Metrics) -> Job:
    """Build the job that verifies changed objects again, in one process at a time that has verification workers.

    Each process stores the changed objects that its own routes noticed.
    """
    scrubber = Scrubber(resources.database, resources.store, metrics, RECHECK_RATE)
    lease = JobLease(resources.database, "recheck")

    def recheck() -> bool:
        """Store the noticed objects, and verify all objects that wait, if this process gets the lease; return False."""
        resources.recheck_requests.flush(resources.database)
        if resources.settings.verification_workers and scrubber.has_rechecks() and lease.acquire():
            with leased(lease, scrubber.interruption):
                while scrubber.recheck_next():
                    resources.recheck_requests.flush(resources.database)
        return False

    return Job("recheck", 1.0, recheck, stop=scrubber.stop)


def _build_hash_completion(resources: Resources, metrics: Metrics) -> list[Job]:
    """Build the job that computes missing hashes of verified blobs, in one process at a time; none if the rate is 0."""
    rate = resources.settings.hash_rate
    if rate == 0:
        return []
    completer = HashCompleter(resources.database, resources.store, metrics, rate)
    lease = JobLease(resources.database, "hashes")

    def complete() -> bool:
        """Compute the hashes of all blobs that are due, if there are any and this process gets the lease."""
        if completer.is_due() and lease.acquire():
            with leased(lease, completer.interruption):
                while completer.complete_next():
                    pass
        return False

    return [Job("hashes", 5.0, complete, stop=completer.stop)]


def _build_preview_extraction(resources: Resources, metrics: Metrics) -> list[Job]:
    """Build the job that looks for pictures in files, in one process at a time; none without verification workers."""
    if resources.settings.verification_workers == 0:
        return []
    extractor = PreviewExtractor(resources.database, resources.store, metrics)
    lease = JobLease(resources.database, "previews")

    def extract() -> bool:
        """Look at all versions that wait, if there are any and this process gets the lease."""
        if extractor.is_due() and lease.acquire():
            with leased(lease, extractor.interruption):
                while extractor.extract_next():
                    pass
        return False

    return [Job("previews", 2.0, extract, stop=extractor.stop)]


def _build_reinspection(resources: Resources) -> list[Job]:
    """Build the job that inspects stored files once more after an upgrade; none without verification workers."""
    if resources.settings.verification_workers == 0:
        return []
    reinspector = Reinspector(resources.database, resources.store)
    lease = JobLease(resources.database, "inspection")

    def inspect() -> bool:
        """Inspect all files that are due, if there are any and this process gets the lease."""
        if reinspector.is_due() and lease.acquire():
            with leased(lease, reinspector.interruption):
                while reinspector.inspect_next():
                    pass
        return False

    return [Job("inspection", 60.0, inspect, stop=reinspector.stop)]


def _build_imports(resources: Resources, metrics: Metrics) -> list[Job]:
    """Build the job that runs imports, in ``import_workers`` threads, and the one that deletes old ones; none if 0."""
    workers = resources.settings.import_workers
    if workers == 0:
        return []
    objects = ObjectChecks(resources.database, resources.store, metrics, resources.recheck_requests)
    sources = open_sources(resources.settings, Limits())
    importer = Importer(objects, resources.settings, sources, resources.cipher, is_alone=resources.is_exclusive)

    return [
        Job("imports", 2.0, importer.import_next, threads=workers, stop=importer.stop, wakes_on=IMPORT_QUEUED),
        build_paged_job(resources, "old imports", timedelta(days=1), delete_old_imports),
    ]


def _build_source_checks(resources: Resources) -> list[Job]:
    """Build the job that checks all models of teams, in one process at a time; none without import workers."""
    if resources.settings.import_workers == 0:
        return []
    checker = SourceChecker(resources.database, open_sources(resources.settings), resources.cipher)
    lease = JobLease(resources.database, "source checks")

    def check() -> bool:
        """Run the checks that are due, if there are any and this process gets the lease."""
        if checker.is_due() and lease.acquire():
            with leased(lease, checker.interruption):
                while checker.check_next():
                    pass
        return False

    return [Job("source checks", 2.0, check, stop=checker.interruption.stop, wakes_on=SOURCE_CHECK_STARTED)]


def _build_clean_up(resources: Resources, metrics: Metrics, name: str, every: timedelta, *, is_thorough: bool) -> Job:
    """Build the job that collects garbage and deletes expired identity rows, in one process at a time."""
    interruption = Interruption()

    def clean() -> bool:
        """Collect garbage and delete expired identity rows; return whether all was done."""
        options = RunOptions(is_thorough=is_thorough)
        collected = collect_garbage(
            resources.database, resources.store, resources.settings, options, lambda: not interruption.is_set()
        )
        metrics.collected.inc(collected.bytes)
        return run_pages(resources.database, name, interruption, delete_expired_identity_rows) and collected.is_complete

    return build_exclusive_job(resources, name, every, clean, interruption)


def _build_key_use(resources: Resources) -> Job:
    """Build the job that stores when keys were last used."""

    def flush() -> bool:
        """Store the recorded key uses."""
        resources.identity.flush_last_used(resources.database)
        return False

    return Job("key use", 60.0, flush)


def _build_due_machines(resources: Resources) -> Job:
    """Build the job that updates machines which a change of collections has left due, in one process at a time."""
    name, interruption = "due machines", Interruption()
    lease = JobLease(resources.database, name)

    def update() -> bool:
        """Update all machines that are due, if there are any and this process gets the lease."""
        with resources.database.reading() as session:
            has_due = has_due_machines(session)
        if has_due and lease.acquire():
            with leased(lease, interruption):
                run_pages(resources.database, name, interruption, update_due_machines)
        return False

    return Job(name, 5.0, update, stop=interruption.stop)


def _build_rollouts(resources: Resources) -> Job:
    """Build the job that moves running roll-outs on, in one process at a time."""
    advancer, lease = RolloutAdvancer(resources.database), JobLease(resources.database, "roll-outs")

    def advance() -> bool:
        """Move each roll-out on that is due, if there are any and this process gets the lease."""
        due = advancer.list_due()
        if due and lease.acquire():
            with leased(lease, advancer.interruption):
                advancer.advance(due)
        return False

    return Job("roll-outs", 2.0, advance, stop=advancer.interruption.stop)


def _build_webhooks(resources: Resources) -> list[Job]:
    """Build the jobs that make deliveries of events, that send them, and that delete old ones."""
    database = resources.database
    sender = Sender(database, resources.settings, resources.cipher)

    def publish() -> bool:
        """Make deliveries of the events that have come since the run before; return whether there are more."""
        return publish_events(database)

    return [
        Job("webhook events", 1.0, publish),
        Job("webhooks", 2.0, sender.send_next, threads=SENDER_THREADS, stop=sender.stop, wakes_on=DELIVERY_DUE),
        build_paged_job(resources, "old deliveries", timedelta(hours=1), delete_old_deliveries),
    ]
