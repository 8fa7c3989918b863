"""How a deployment replaces what runs, as data: what an environment sets, and what one release asks for
instead."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

from shared.domain.kernel.errors import Invalid, Problem

MOST_INSTANCES = 20
MOST_STEPS = 20


class Strategy(StrEnum):
    """The values are the contract's own words."""

    ROLLING_UPDATE = "RollingUpdate"
    BLUE_GREEN = "BlueGreen"
    CANARY = "Canary"
    RECREATE = "Recreate"


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryStep:
    """So many percent of the requests go to the new version, then it is looked at for `pause_seconds`; None:
    until a person goes on."""

    weight: int
    pause_seconds: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """A step passes after `successes` healthy answers in a row, and fails after `failures` of the other kind
    or when `timeout_seconds` are over."""

    interval_seconds: int = 5
    successes: int = 1
    failures: int = 1
    timeout_seconds: int = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutSettings:
    """Of an environment. `max_surge` and `max_unavailable` are instances beyond and below the wanted number
    during a rolling update; `keep_seconds` is how long the old side of a blue-green switch keeps running."""

    instances: int = 1
    max_surge: int = 1
    max_unavailable: int = 0
    canary: tuple[CanaryStep, ...] = (
        CanaryStep(weight=10, pause_seconds=60),
        CanaryStep(weight=50, pause_seconds=60),
    )
    keep_seconds: int = 600
    probe: Probe = Probe()


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutWish:
    """What one release asks for instead of its environment's settings; None leaves them as they are."""

    instances: int | None = None
    canary: tuple[CanaryStep, ...] | None = None


def wished(settings: RolloutSettings, wish: RolloutWish | None) -> RolloutSettings:
    if wish is None:
        return settings
    return replace(
        settings,
        instances=settings.instances if wish.instances is None else wish.instances,
        canary=settings.canary if wish.canary is None else wish.canary,
    )


def check_settings(settings: RolloutSettings, *, field: str) -> None:
    """Invalid with every mistake; `field` is where the settings stand in the request."""
    if problems := tuple(_problems(settings, field)):
        raise Invalid("The rollout settings cannot be carried out.", *problems)


def _problems(settings: RolloutSettings, field: str) -> Iterator[Problem]:
    weights = [step.weight for step in settings.canary]
    if weights != sorted(set(weights)):
        yield Problem(f"{field}.canary", "Let the weights rise from step to step.", "weights_must_rise")
    if settings.max_surge + settings.max_unavailable < 1:
        yield Problem(
            f"{field}.maxSurge", "Let at least one instance more, or one less, run meanwhile.", "no_room"
        )
