"""Events of repositories, branches, commits and pull requests."""

from shared.domain.catalogue.declare import (
    COUNT,
    FLAG,
    NAME,
    SHA,
    TEXT,
    TIME,
    EventType,
    Kind,
    Schema,
    id_of,
    many,
    one_of,
    or_null,
    shape,
)
from shared.domain.source.model import PolicyEvaluation, Provider, Visibility

REPOSITORY: dict[str, Schema] = {"repositoryId": id_of("repo")}
PULL_REQUEST: dict[str, Schema] = {
    "pullRequestId": id_of("pr"),
    "number": {**COUNT, "description": "Without gaps within the repository."},
    **REPOSITORY,
    "sourceBranch": NAME,
    "targetBranch": NAME,
    "sourceSha": SHA,
}
_MIRRORED: dict[str, Schema] = {"pullRequestId": id_of("pr"), **REPOSITORY}
_HEARD: dict[str, Schema] = {
    **REPOSITORY,
    "about": {**NAME, "examples": ["push", "pull_request", "run", "status"]},
}


def _of_pull_request(name: str, summary: str, kind: Kind = Kind.EVENT, /, **more: Schema) -> EventType:
    return EventType(name, summary, {**PULL_REQUEST, **more}, kind=kind)


SOURCE = (
    EventType("ProvisionRepository", "Make the repository on its host.", REPOSITORY, kind=Kind.COMMAND),
    EventType(
        "RepositoryProvisioned",
        "A repository is there, with its default branch.",
        {
            **REPOSITORY,
            "provider": one_of(Provider),
            "remoteUrl": NAME,
            "defaultBranch": NAME,
            "visibility": one_of(Visibility),
        },
    ),
    EventType(
        "RepositoryArchived",
        "It can only be read from now on; its open pull requests stay as they are.",
        {**REPOSITORY, "archivedBy": NAME},
    ),
    EventType("RepositoryUnarchived", "It takes changes again.", {**REPOSITORY, "unarchivedBy": NAME}),
    EventType(
        "BranchCreated",
        "A branch was made, here or by a push.",
        {
            **REPOSITORY,
            "branchId": id_of("branch"),
            "name": NAME,
            "fromCommitSha": SHA,
            "isProtected": FLAG,
        },
    ),
    EventType(
        "BranchDeleted",
        "A branch is gone, and the pull requests of it are abandoned.",
        {**REPOSITORY, "branchId": id_of("branch"), "name": NAME, "head": SHA},
    ),
    EventType(
        "CommitCreated",
        "A commit arrived on a branch.",
        {
            **REPOSITORY,
            "commitId": id_of("commit"),
            "branch": NAME,
            "sha": SHA,
            "treeHash": SHA,
            "artifactId": {**or_null(NAME), "description": "What its content was made from."},
        },
        {"committedAt": TIME},
    ),
    EventType(
        "BranchPolicyChanged",
        "What merging into branches of a pattern asks for was changed.",
        {**REPOSITORY, "policyId": NAME, "pattern": NAME, "change": NAME},
    ),
    EventType(
        "WeighPullRequests",
        "The target branch moved: see again what its pull requests wait for.",
        {**REPOSITORY, "targetBranch": NAME},
        kind=Kind.COMMAND,
    ),
    EventType(
        "PullRequestOpened",
        "A pull request was opened; its checks begin.",
        PULL_REQUEST,
        {"isDraft": FLAG},
    ),
    EventType("PullRequestReopened", "An abandoned one is open again.", PULL_REQUEST, {"isDraft": FLAG}),
    _of_pull_request("PullRequestUpdated", "Its source branch moved; checks and policy begin anew."),
    _of_pull_request("PullRequestEdited", "Its words were changed.", title=NAME, labels=many(NAME)),
    _of_pull_request("PullRequestDraftFinished", "It is no longer a draft."),
    _of_pull_request(
        "PullRequestReviewed", "Somebody gave a review.", reviewId=NAME, reviewer=NAME, decision=NAME
    ),
    _of_pull_request("PullRequestReviewRequested", "Reviewers were asked.", reviewers=many(NAME)),
    _of_pull_request("PullRequestReviewRequestRemoved", "A reviewer is no longer asked.", reviewer=NAME),
    _of_pull_request(
        "PullRequestPolicyEvaluated",
        "What its policies say has changed.",
        policyEvaluation=one_of(PolicyEvaluation),
        policies=many(shape(policy=NAME, status=NAME, reason=TEXT)),
    ),
    _of_pull_request("PullRequestPolicyWaived", "It may pass at this head.", reason=TEXT, waivedBy=NAME),
    _of_pull_request(
        "PullRequestPolicyBypassed", "It was merged past its policies.", reason=TEXT, bypassedBy=NAME
    ),
    _of_pull_request("PullRequestAutoCompleteRequested", "Merge it when it may be.", requestedBy=NAME),
    _of_pull_request("PullRequestAutoCompleteCancelled", "Do not merge it by itself.", reason=TEXT),
    _of_pull_request("CompletePullRequest", "It waits for nothing but being merged.", Kind.COMMAND),
    _of_pull_request(
        "PullRequestCheckReported", "A check from outside has a verdict.", sha=SHA, name=NAME, status=NAME
    ),
    _of_pull_request("RerunChecks", "Run its checks again.", Kind.COMMAND, checks=many(NAME), attempt=COUNT),
    EventType(
        "PullRequestMerged",
        "Its source is in its target branch.",
        {**PULL_REQUEST, "mergeCommitSha": SHA, "mergedBy": NAME},
        {
            "closes": many(shape(kind=NAME, key=NAME)),
            "mergedAtHost": {**FLAG, "description": "By the vendor's rules, not by ours."},
        },
    ),
    _of_pull_request("PullRequestAbandoned", "It was closed without a merge."),
    EventType("MirrorPullRequest", "Show it at its vendor as it is here.", _MIRRORED, kind=Kind.COMMAND),
    EventType(
        "MirrorPullRequestAgain", "Show it once more.", _MIRRORED, {"attempt": COUNT}, kind=Kind.COMMAND
    ),
    EventType("HostChanged", "A vendor says that something moved there: look.", _HEARD, kind=Kind.COMMAND),
    EventType("HostChangedAgain", "Look once more.", _HEARD, {"attempt": COUNT}, kind=Kind.COMMAND),
)
