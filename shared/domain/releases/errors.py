"""The rules of planning that can be broken."""

from shared.domain.kernel.errors import Conflict, RuleBroken


class BuildNotReleasable(RuleBroken):
    """The build did not succeed, or it published nothing."""

    code = "build_not_releasable"


class BuildMismatch(RuleBroken):
    """The build belongs to another project or module than the plan names."""

    code = "build_mismatch"


class StrategyUnavailable(RuleBroken):
    """The environment does not allow it."""

    code = "strategy_unavailable"


class AlreadyPlanned(Conflict):
    """The release has an open promotion into that environment."""

    code = "already_planned"


class AlreadyDeployed(Conflict):
    """The release is what runs in that environment."""

    code = "already_deployed"


class NothingToRetry(Conflict):
    """Its last promotion into that environment has not failed."""

    code = "nothing_to_retry"
