"""The configuration of Microsoft's Service Bus emulator, from the catalogue that the real namespace has."""

import json
from collections.abc import Iterable
from typing import Any, Final

from shared.adapters.azure.servicebus_entities import QUEUE_ENTITIES, QueueEntity

_NAMESPACE: Final = "sbemulatorns"
"""The only one it knows."""
_LIMITS: Final = {"DefaultMessageTimeToLive": "PT1H", "DuplicateDetectionHistoryTimeWindow": "PT5M"}
"""The most that it takes, and less than the catalogue asks of the service."""
_UNKNOWN: Final = frozenset({"EnablePartitioning"})


def emulator_config(queues: Iterable[QueueEntity] = QUEUE_ENTITIES) -> str:
    """What goes into its Config.json."""
    namespace = {"Name": _NAMESPACE, "Queues": [_queue(queue) for queue in queues], "Topics": []}
    config = {"UserConfig": {"Namespaces": [namespace], "Logging": {"Type": "Console"}}}
    return json.dumps(config, indent=2) + "\n"


def _queue(queue: QueueEntity) -> dict[str, Any]:
    told = {name[0].upper() + name[1:]: value for name, value in queue.properties().items()}
    known = {name: value for name, value in told.items() if name not in _UNKNOWN}
    return {"Name": queue.name, "Properties": known | _LIMITS}
