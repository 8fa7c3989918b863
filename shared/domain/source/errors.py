"""The rules of source control that can be broken."""

from shared.domain.kernel.errors import AlreadyExists, Conflict, RuleBroken


class RepositoryExists(AlreadyExists):
    code = "repository_exists"


class ProjectExists(AlreadyExists):
    code = "project_exists"


class RepositoryNotReady(Conflict):
    code = "repository_not_ready"


class ReservedProject(RuleBroken):
    code = "reserved_project"


class ManagedRepository(RuleBroken):
    code = "managed_repository"


class ProviderUnavailable(RuleBroken):
    code = "provider_unavailable"


class ProtectedBranch(RuleBroken):
    code = "protected_branch"


class SameBranch(RuleBroken):
    code = "same_branch"


class NothingToMerge(RuleBroken):
    code = "nothing_to_merge"


class PullRequestExists(AlreadyExists):
    code = "pull_request_exists"


class ChecksNotPassed(Conflict):
    code = "checks_not_passed"


class StaleSource(Conflict):
    code = "stale_source"


class ArtifactExists(AlreadyExists):
    code = "artifact_exists"
