"""How a release asks to be rolled out, in requests."""

from typing import Annotated

from pydantic import Field

from functions.http.fields import Body
from shared.domain.releases.strategies import MOST_INSTANCES, MOST_STEPS, CanaryStep, RolloutWish

_A_WEEK = 7 * 24 * 3600
Seconds = Annotated[int, Field(ge=0, le=_A_WEEK)]
Instances = Annotated[int, Field(ge=1, le=MOST_INSTANCES)]


class CanaryStepBody(Body):
    """`pauseSeconds` is left out where the rollout waits until somebody advances it."""

    weight: Annotated[int, Field(ge=1, le=99)]
    pause_seconds: Seconds | None = None

    def step(self) -> CanaryStep:
        return CanaryStep(weight=self.weight, pause_seconds=self.pause_seconds)


Canary = Annotated[tuple[CanaryStepBody, ...], Field(min_length=1, max_length=MOST_STEPS)]


class RolloutWishBody(Body):
    """What this release asks for instead of its environment's settings."""

    instances: Instances | None = None
    canary: Canary | None = None

    def wish(self) -> RolloutWish:
        canary = None if self.canary is None else tuple(step.step() for step in self.canary)
        return RolloutWish(instances=self.instances, canary=canary)
