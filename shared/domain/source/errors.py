"""The rules of source control that can be broken."""

from shared.domain.kernel.errors import AlreadyExists, Conflict, Forbidden, RuleBroken


class RepositoryExists(AlreadyExists):
    code = "repository_exists"


class ProjectExists(AlreadyExists):
    code = "project_exists"


class RepositoryNotReady(Conflict):
    code = "repository_not_ready"


class RepositoryIsArchived(Conflict):
    code = "repository_archived"


class ReservedProject(RuleBroken):
    code = "reserved_project"


class ManagedRepository(RuleBroken):
    code = "managed_repository"


class ProviderUnavailable(RuleBroken):
    code = "provider_unavailable"


class DefaultBranch(RuleBroken):
    code = "default_branch"


class ProtectedBranch(RuleBroken):
    code = "protected_branch"


class SameBranch(RuleBroken):
    code = "same_branch"


class NothingToMerge(RuleBroken):
    code = "nothing_to_merge"


class PullRequestExists(AlreadyExists):
    code = "pull_request_exists"


class NotMergeable(Conflict):
    """Something stands between a pull request and its merge; `blockers` lists all of it."""

    code = "not_mergeable"


class ChecksNotPassed(NotMergeable):
    code = "checks_not_passed"


class DraftPullRequest(NotMergeable):
    code = "draft_pull_request"


class MergeConflicts(NotMergeable):
    code = "merge_conflict"


class StrategyNotAllowed(NotMergeable):
    code = "strategy_not_allowed"


class TooManyPolicies(RuleBroken):
    code = "too_many_policies"


class TooManyChecks(RuleBroken):
    code = "too_many_checks"


class TooManyReviewers(RuleBroken):
    code = "too_many_reviewers"


class CheckUnknown(RuleBroken):
    code = "check_unknown"


class CheckRunning(Conflict):
    code = "check_running"


class ReviewStands(Conflict):
    code = "review_stands"


class OwnPullRequest(Forbidden):
    code = "own_pull_request"


class BypassNotAllowed(Forbidden):
    code = "bypass_not_allowed"


class StaleSource(Conflict):
    code = "stale_source"


class SecretsFound(RuleBroken):
    """Content that is to be committed holds secrets; says where, and never what."""

    code = "secrets_found"


class ArtifactExists(AlreadyExists):
    code = "artifact_exists"
