"""What Azure DevOps says when it refuses: status, TF number and sentence, typeKey. Sends nothing."""

from typing import Any

SIGN_IN = (
    "<!DOCTYPE html PUBLIC '-//W3C//DTD XHTML 1.0 Strict//EN'><html lang='en-US'><head><title>"
    "Azure DevOps Services | Sign In</title></head><body class='SignInPage'></body></html>"
)


class Refused(Exception):
    """An answer that is no success."""

    def __init__(self, status: int, key: str, message: str) -> None:
        super().__init__(message)
        self.status, self.key, self.message = status, key, message
        self.properties: dict[str, Any] = {}

    @property
    def body(self) -> dict[str, Any]:
        space = "Microsoft.TeamFoundation.Git.Server"
        custom = {"customProperties": self.properties} if self.properties else {}
        return custom | {
            "$id": "1",
            "innerException": None,
            "message": self.message,
            "typeName": f"{space}.{self.key}, {space}",
            "typeKey": self.key,
            "errorCode": 0,
            "eventId": 3000,
        }


def no_version(method: str) -> Refused:
    return Refused(
        400,
        "VssVersionNotSpecifiedException",
        f'No api-version was supplied for the "{method}" request. The version must be supplied either as part'
        ' of the Accept header (e.g. "application/json; api-version=1.0") or as a query parameter (e.g.'
        ' "?api-version=1.0").',
    )


def wrong_version(version: str) -> Refused:
    message = f"The requested REST API version of {version} is out of range for this server."
    return Refused(400, "VssVersionOutOfRangeException", message)


def unauthorized() -> Refused:
    return Refused(
        401,
        "UnauthorizedRequestException",
        "TF400813: The user '' is not authorized to access this resource.",
    )


def no_project(name: str) -> Refused:
    return Refused(
        404,
        "ProjectDoesNotExistWithNameException",
        f"TF200016: The following project does not exist: {name}. Verify that the name of the project is"
        " correct and that the project exists on the specified Azure DevOps Server.",
    )


def project_exists(name: str) -> Refused:
    message = f"TF200019: The following project already exists on the Azure DevOps Server: {name}."
    return Refused(409, "ProjectAlreadyExistsException", message)


def no_repository(name: str) -> Refused:
    return Refused(
        404,
        "GitRepositoryNotFoundException",
        f"TF401019: The Git repository with name or identifier {name} does not exist or you do not have"
        " permissions for the operation you are attempting.",
    )


def repository_exists(name: str) -> Refused:
    return Refused(
        409,
        "GitRepositoryNameAlreadyExistsException",
        f"TF400948: A Git repository with the name {name} already exists.",
    )


def no_commit(sha: str) -> Refused:
    return Refused(
        404,
        "GitUnresolvableToCommitException",
        f"TF401175: The version descriptor <Commit: {sha} > could not be resolved to a version in the"
        " repository.",
    )


def no_object(sha: str) -> Refused:
    message = f"TF401035: The object '{sha}' does not exist."
    return Refused(404, "GitObjectDoesNotExistException", message)


def no_item(path: str, sha: str) -> Refused:
    return Refused(
        404,
        "GitItemNotFoundException",
        f"TF401174: The item '{path}' could not be found in the repository at the version specified by"
        f" '<Commit: {sha} >' (resolved to commit '{sha}').",
    )


def stale(ref: str) -> Refused:
    return Refused(
        409,
        "GitReferenceStaleException",
        f"TF401028: The reference '{ref}' has already been updated by another client, so you cannot update"
        " it. Please try again.",
    )


def by_policy() -> Refused:
    return Refused(
        403,
        "GitRefUpdateRejectedByPolicyException",
        "TF402455: Pushes to this branch are not permitted; you must use a pull request to update this"
        " branch.",
    )


def no_permission(permission: str) -> Refused:
    return Refused(
        403,
        "GitNeedsPermissionException",
        f"TF401027: You need the Git '{permission}' permission to perform this action. Details: identity"
        " 'Build\\7be59e48', scope 'repository'.",
    )


def bad(message: str, key: str = "InvalidArgumentValueException") -> Refused:
    return Refused(400, key, message)


def definition_exists(name: str) -> Refused:
    message = f"Pipeline {name} already exists in folder \\."
    return Refused(409, "DefinitionExistsException", message)


def no_definition(number: object) -> Refused:
    message = f"The requested build definition with ID {number} could not be found."
    return Refused(404, "DefinitionNotFoundException", message)


def no_build(number: int) -> Refused:
    message = f"The requested build {number} could not be found."
    return Refused(404, "BuildNotFoundException", message)


def no_log(number: int) -> Refused:
    return Refused(404, "BuildLogNotFoundException", f"The build has no log {number}.")


def no_artifact(key: str) -> Refused:
    return Refused(404, "ArtifactNotFoundException", f"The artifact {key} does not exist.")


def not_queued(problems: list[str]) -> Refused:
    message = "Could not queue the build because there were validation errors or warnings."
    refused = Refused(400, "BuildRequestValidationFailedException", message)
    results = [{"result": "error", "message": problem} for problem in problems]
    refused.properties = {"ValidationResults": results}
    return refused


def no_subscription(key: str) -> Refused:
    return Refused(404, "SubscriptionNotFoundException", f"The subscription {key} was not found.")


def no_pull_request(number: int) -> Refused:
    return Refused(
        404,
        "GitPullRequestNotFoundException",
        f"TF401180: The requested pull request was not found: {number}.",
    )


def pull_request_exists() -> Refused:
    return Refused(
        409,
        "GitPullRequestExistsException",
        "TF401179: An active pull request for the source and target branch already exists.",
    )


def not_editable() -> Refused:
    message = "TF401181: The pull request cannot be edited due to its state."
    return Refused(409, "GitPullRequestNotEditableException", message)


def not_activated() -> Refused:
    return Refused(
        409,
        "GitPullRequestCannotBeActivated",
        "TF401398: The pull request cannot be activated because the source and/or the target branch no longer"
        " exists, or the requested changes are already in the target.",
    )


def no_ref(ref: str) -> Refused:
    return Refused(404, "GitRefNotFoundException", f"TF401175: The reference {ref} could not be found.")


def limited() -> Refused:
    return Refused(
        429,
        "RequestBlockedException",
        "TF400733: The request has been canceled: Request was blocked due to exceeding usage of resource"
        " 'Concurrency' in namespace 'User'.",
    )
