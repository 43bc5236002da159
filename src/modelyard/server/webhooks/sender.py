"""The worker that sends deliveries, in any number of threads and processes."""

import logging
import re
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime

from modelyard.server.database.base import now
from modelyard.server.database.session import Database
from modelyard.server.encryption import SecretCipher, SecretUnreadable
from modelyard.server.outbound.client import Limits, OutboundClient
from modelyard.server.outbound.errors import OutboundError
from modelyard.server.outbound.policy import OutboundPolicy, parse_listed_hosts
from modelyard.server.settings import Settings
from modelyard.server.webhooks.attempts import record_attempt
from modelyard.server.webhooks.delivery_leases import LeasedDelivery, lease_next_delivery, release_delivery
from modelyard.server.webhooks.schedule import MAX_PAUSE, Outcome
from modelyard.server.webhooks.sender_share import SenderShare
from modelyard.server.webhooks.signing import build_headers, unseal_secret
from modelyard.server.webhooks.tables import WebhookRow

# 15 seconds in all, by the recommendation of Standard Webhooks (15 to 30); far less than ``LEASE_LIFE``.
SEND_LIMITS = Limits(connect_seconds=5.0, read_seconds=15.0, head_seconds=15.0)
log = logging.getLogger("modelyard.webhooks")


def build_policy(settings: Settings) -> OutboundPolicy:
    """Return which addresses webhooks may have by these settings."""
    return OutboundPolicy(parse_listed_hosts(settings.webhook_hosts))


class Sender:
    """Sends deliveries, one at a time in each thread that calls ``send_next``."""

    def __init__(
        self,
        database: Database,
        settings: Settings,
        cipher: SecretCipher | None = None,
        limits: Limits = SEND_LIMITS,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._database, self._cipher, self._clock = database, cipher, clock
        self._client = OutboundClient(build_policy(settings), limits, proxy=settings.egress_proxy)
        self._stopping = threading.Event()
        self._share, self._leasing = SenderShare(), threading.Lock()

    def stop(self) -> None:
        """Send no further deliveries."""
        self._stopping.set()

    def send_next(self) -> bool:
        """Lease and send one delivery; return False if none is due, or the sender is stopping.

        A delivery whose result cannot be stored is sent again with the same id once its lease has expired.
        """
        if self._stopping.is_set():
            return False
        leased = self._lease()
        if leased is None:
            return False
        try:
            return self._send_leased(leased)
        finally:
            with self._leasing:
                self._share.end(leased.lease)

    def _lease(self) -> LeasedDelivery | None:
        """Lease the next delivery, one thread at a time, so that each sees how many of the senders are free."""
        with self._leasing:
            leased = lease_next_delivery(self._database, self._share)
            if leased is not None:
                self._share.begin(leased.lease, leased.account)
            return leased

    def _send_leased(self, leased: LeasedDelivery) -> bool:
        """Send a delivery and record the outcome, logging a failure.

        Return False if it was released, as the sender is stopping.
        """
        if self._stopping.is_set():
            release_delivery(self._database, leased)
            return False
        outcome = self._send(leased)
        # Only the receiver's time: with the database's, a slow database makes all teams slow.
        moment = self._share.clock()
        with self._leasing:
            self._share.record_response(leased.lease, moment)
        record_attempt(self._database, leased, outcome)
        if not outcome.is_success:
            log.info("a delivery failed", extra={"delivery": str(leased.row.id), "why": outcome.message})
        return True

    def _send(self, leased: LeasedDelivery) -> Outcome:
        """Send a delivery once, without redirects; the body of the response is not read."""
        row, webhook, moment = leased.row, leased.webhook, self._clock()
        try:
            headers = build_headers(self._list_secrets(webhook, moment), row.id, moment, row.body)
            with self._client.request(
                "POST", webhook.url, headers, content=row.body.encode(), max_redirects=0
            ) as response:
                pause = parse_retry_after(response.headers.get("retry-after", ""), moment)
                return Outcome(response.status, retry_after=pause)
        except OutboundError as error:
            return Outcome(error=str(error))
        except SecretUnreadable:
            return Outcome(error="The secret was encrypted with a key that the registry does not have. Rotate it.")

    def _list_secrets(self, webhook: WebhookRow, moment: datetime) -> list[str]:
        """Return the secrets that sign a request; raises ``SecretUnreadable``, except for the old one."""
        secrets = [unseal_secret(self._cipher, webhook.secret, webhook.id)]
        if webhook.previous_secret and webhook.previous_secret_until and webhook.previous_secret_until > moment:
            with suppress(SecretUnreadable):
                secrets.append(unseal_secret(self._cipher, webhook.previous_secret, webhook.id))
        return secrets


def parse_retry_after(text: str, moment: datetime) -> timedelta:
    """Return the pause that a ``Retry-After`` header asks for, in seconds or as a date; none if it is neither.

    At most ``MAX_PAUSE``.
    """
    if re.fullmatch(r"[0-9]{1,9}", text):
        return min(timedelta(seconds=int(text)), MAX_PAUSE)
    try:
        until = parsedate_to_datetime(text)
        return min(max(until - moment, timedelta(0)), MAX_PAUSE)
    except (TypeError, ValueError, OverflowError):
        # Also a date without a zone, which has no difference to one with a zone.
        return timedelta(0)
