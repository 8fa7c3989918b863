"""The rules of promotion that can be broken."""

from shared.domain.kernel.errors import Conflict, Forbidden, Invalid, RuleBroken


class EnvironmentSkipped(RuleBroken):
    """The release was not yet deployed in the environment before."""

    code = "environment_order"


class ReleaseNotReady(RuleBroken):
    """Only a ready release is promoted."""

    code = "release_not_ready"


class LastEnvironment(Conflict):
    """There is no environment left to promote into."""

    code = "last_environment_reached"


class NoOpenPromotion(Conflict):
    """Nothing of this release is under way that could be decided on."""

    code = "no_open_promotion"


class EnvironmentRequired(Invalid):
    """Several promotions are open, and the caller named none."""

    code = "environment_required"


class NotCancellable(Conflict):
    """It is being deployed, or has ended."""

    code = "not_cancellable"


class NotFrozen(Conflict):
    """There is no freeze to override, or it is past being let in."""

    code = "not_frozen"


class OverrideNeedsPerson(Forbidden):
    """Automation does not override a freeze."""

    code = "person_required"
