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

    @property
    def body(self) -> dict[str, Any]:
        space = "Microsoft.TeamFoundation.Git.Server"
        return {
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


def limited() -> Refused:
    return Refused(
        429,
        "RequestBlockedException",
        "TF400733: The request has been canceled: Request was blocked due to exceeding usage of resource"
        " 'Concurrency' in namespace 'User'.",
    )
