"""The rules of stacks and plans that can be broken."""

from shared.domain.kernel.errors import Conflict, Invalid


class EngineNotSupported(Invalid):
    code = "engine_not_supported"


class ProgramNotRegistered(Invalid):
    """Programs are registered by whoever runs the installation; callers name one."""

    code = "program_not_registered"


class StackElsewhere(Conflict):
    """The stack belongs to another project or environment."""

    code = "stack_elsewhere"


class StackQueueFull(Conflict):
    """Too many plans wait for this stack."""

    code = "stack_queue_full"


class NothingToDestroy(Conflict):
    """The stack holds nothing."""

    code = "nothing_to_destroy"


class NotAwaitingApproval(Conflict):
    """The plan takes no decision in this state."""

    code = "not_awaiting_approval"


class AnotherDigest(Conflict):
    """The approver has seen another plan than this one."""

    code = "plan_digest_mismatch"


class PlanNotCancellable(Conflict):
    """It has ended."""

    code = "not_cancellable"
