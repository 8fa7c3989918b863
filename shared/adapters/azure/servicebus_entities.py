"""The queues as Azure is told to make them: plain data that infrastructure, the emulator and the tests share.

Property names and durations (ISO 8601) are those of Azure Resource Manager. Imports no SDK.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from shared.names import DEPLOYMENTS, GITOPS, INFRASTRUCTURE, QUEUES, ROTATION, RUNS, parked
from shared.ports.bus import MAX_DELIVERY_COUNT

LONGEST_LOCK: Final = "PT5M"
"""What the service allows. Whoever works longer renews: `maxAutoLockRenewalDuration` in host.json."""
DETECTION_WINDOW: Final = "PT10M"
WORK_LIVES: Final = "P14D"
FOR_EVER: Final = "P10675199DT2H48M5.4775807S"
"""The service's own word for no expiry."""

RUN_LONG: Final = frozenset({RUNS, DEPLOYMENTS, GITOPS, INFRASTRUCTURE})
"""Queues whose messages may take longer than a lock lasts; the others are done in seconds."""


@dataclass(frozen=True, kw_only=True)
class QueueEntity:
    """One queue of the namespace. A queue with sessions refuses a message without a session id."""

    name: str
    requires_session: bool
    default_message_time_to_live: str
    lock_duration: str = LONGEST_LOCK
    max_delivery_count: int = MAX_DELIVERY_COUNT
    requires_duplicate_detection: bool = True
    duplicate_detection_history_time_window: str = DETECTION_WINDOW
    dead_lettering_on_message_expiration: bool = True
    # A batch carries messages of many sessions, which a partitioned queue would refuse.
    enable_partitioning: bool = False

    def properties(self) -> Mapping[str, str | int | bool]:
        """As the body of an ARM template has them, all but the name."""
        return {
            "requiresSession": self.requires_session,
            "defaultMessageTimeToLive": self.default_message_time_to_live,
            "lockDuration": self.lock_duration,
            "maxDeliveryCount": self.max_delivery_count,
            "requiresDuplicateDetection": self.requires_duplicate_detection,
            "duplicateDetectionHistoryTimeWindow": self.duplicate_detection_history_time_window,
            "deadLetteringOnMessageExpiration": self.dead_lettering_on_message_expiration,
            "enablePartitioning": self.enable_partitioning,
        }


def work_queue(name: str) -> QueueEntity:
    return QueueEntity(name=name, requires_session=True, default_message_time_to_live=WORK_LIVES)


def parking_queue(name: str) -> QueueEntity:
    """Beside the work queue: nobody consumes it but an operator, in any order, however late."""
    return QueueEntity(name=parked(name), requires_session=False, default_message_time_to_live=FOR_EVER)


NEWS_QUEUE: Final = QueueEntity(
    name=ROTATION, requires_session=False, default_message_time_to_live=WORK_LIVES
)
"""Event Grid sends the vault's news without a session, so nothing here may ask for one."""
QUEUE_ENTITIES: Final = (
    *(make(name) for name in QUEUES for make in (work_queue, parking_queue)),
    NEWS_QUEUE,
)
