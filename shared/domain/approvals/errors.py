"""The rules of voting that can be broken."""

from shared.domain.kernel.errors import Conflict, Forbidden, Invalid


class SelfApproval(Forbidden):
    """Segregation of duties: whoever planned it, or acts for or through the planner, may not decide."""

    code = "self_approval"


class ApproverMismatch(Forbidden):
    """The body names another approver than the token."""

    code = "approver_mismatch"


class HumanRequired(Forbidden):
    """Only a person may decide for this environment."""

    code = "human_approval_required"


class AlreadyVoted(Conflict):
    code = "already_voted"


class VotingClosed(Conflict):
    """The promotion no longer takes votes."""

    code = "voting_closed"


class CommentRequired(Invalid):
    code = "comment_required"
