"""Every type of event and command there is. What is not here does not leave a decision: a test compares."""

from collections.abc import Mapping

from shared.domain.catalogue.declare import EventType
from shared.domain.catalogue.delivery import DELIVERY
from shared.domain.catalogue.infrastructure import INFRASTRUCTURE
from shared.domain.catalogue.packages import PACKAGES
from shared.domain.catalogue.pipelines import PIPELINES
from shared.domain.catalogue.secrets import SECRETS
from shared.domain.catalogue.source import SOURCE

EVENTS: Mapping[str, EventType] = {
    each.name: each for each in (*SOURCE, *PIPELINES, *PACKAGES, *DELIVERY, *INFRASTRUCTURE, *SECRETS)
}
