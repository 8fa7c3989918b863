"""The rules of deploying that can be broken."""

from shared.domain.kernel.errors import Conflict


class NothingToAdvance(Conflict):
    """Its rollout is not paused."""

    code = "not_paused"


class NotDeploying(Conflict):
    """Nothing is being deployed that could be acted on."""

    code = "not_deploying"


class NothingToReturnTo(Conflict):
    """Nothing ran there before."""

    code = "no_previous_deployment"


class NotCurrent(Conflict):
    """The release is not what runs there."""

    code = "not_current"
