"""Reservations of disk space, so that concurrent downloads do not fill a disk together."""

from collections import defaultdict
from uuid import UUID


class DiskReservations:
    """The bytes that running downloads still need on each disk: two that fit alone need not fit together."""

    def __init__(self) -> None:
        self._reserved: dict[int, dict[UUID, int]] = defaultdict(dict)

    def set_reservation(self, device: int, model_id: UUID, bytes_left: int) -> None:
        """Set how many bytes a download still needs, in place of an earlier number; the disk itself is not changed."""
        self._reserved[device][model_id] = bytes_left

    def remove_reservation(self, device: int, model_id: UUID) -> None:
        """Remove the reservation of a download that has ended. Idempotent."""
        self._reserved[device].pop(model_id, None)

    def sum_other_reservations(self, device: int, model_id: UUID) -> int:
        """Return the bytes that all other downloads on the device still need."""
        return sum(bytes_left for other_id, bytes_left in self._reserved[device].items() if other_id != model_id)
