"""What can be wrong with a named environment or its lane."""

from shared.domain.kernel.errors import Conflict, Forbidden, Invalid


class UnknownEnvironment(Invalid):
    code = "unknown_environment"


class LaneTaken(Conflict):
    """Another deployment is under way there."""

    code = "environment_locked"


class BadFreezeWindow(Invalid):
    code = "bad_freeze_window"


class BadEnvironmentPolicy(Invalid):
    code = "bad_environment_policy"


class TooManyFreezeWindows(Conflict):
    code = "too_many_freeze_windows"


class NoHold(Conflict):
    """Nothing holds the environment."""

    code = "not_on_hold"


class PersonRequired(Forbidden):
    """What a failure stopped is not started again by automation."""

    code = "person_required"
