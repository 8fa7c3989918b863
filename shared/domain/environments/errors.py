"""What can be wrong with a named environment or its lane."""

from shared.domain.kernel.errors import Conflict, Invalid


class UnknownEnvironment(Invalid):
    code = "unknown_environment"


class LaneTaken(Conflict):
    """Another deployment is under way there."""

    code = "environment_locked"
