"""An example of anything that a JSON schema describes: the same one every time, in the words of one story."""

from typing import Any

from pydantic.alias_generators import to_camel

from functions.http.openapi_schemas import Node


def example_of(schema: Node, schemas: Node, name: str = "", *, is_request: bool = False) -> Any:
    """A value of `schema`, whose references name `schemas`. Of a request only what is required."""
    if "$ref" in schema:
        return example_of(schemas[schema["$ref"].rpartition("/")[2]], schemas, name, is_request=is_request)
    for word in ("const", "default"):
        if schema.get(word) is not None:
            return schema[word]
    for choices in ("examples", "enum"):
        if schema.get(choices):
            return schema[choices][0]
    for choices in ("anyOf", "oneOf", "allOf"):
        if schema.get(choices):
            return example_of(schema[choices][0], schemas, name, is_request=is_request)
    return _of_type(schema, schemas, name, is_request)


def _of_type(schema: Node, schemas: Node, name: str, is_request: bool) -> Any:
    match schema.get("type"):
        case "object":
            wanted = schema.get("required", ()) if is_request else schema.get("properties", ())
            return {
                one: example_of(schema["properties"][one], schemas, one, is_request=is_request)
                for one in wanted
            }
        case "array":
            return [example_of(schema.get("items", {}), schemas, name, is_request=is_request)]
        case "boolean":
            return True
        case "integer" | "number":
            word = _WORDS.get(to_camel(name))
            return word if isinstance(word, int) else max(1, schema.get("minimum", 1))
        case "string":
            return _text(schema, name)
        case _:
            return {}


def _text(schema: Node, name: str) -> str:
    if schema.get("format") == "date-time":
        return "2026-06-11T09:00:00Z"
    text = _WORDS.get(to_camel(name), "text")
    return str(text)[: schema.get("maxLength")]


_SHA = "a1b2c3d4e5f60718293a4b5c6d7e8f9012345678"
_DIGEST = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
_AGENT = "agent:ReleaseManager"

# Wire name, in camel case -> what stands there in examples. The story is the DevOps contract's.
_WORDS: dict[str, str | int] = {
    "approver": _AGENT,
    "artifact": "module-reservations-api.tar.gz",
    "artifactId": "art-reservations-api-3c",
    "branch": "main",
    "buildNumber": "20260611.3",
    "command": "make test",
    "commitSha": _SHA,
    "content": "kind: Deployment\n",
    "contentHash": _DIGEST,
    "contentType": "application/zip",
    "createdBy": "agent:PullRequestCreator",
    "defaultBranch": "main",
    "definitionPath": ".azuredevops/pipelines/reservations-api.yml",
    "description": "Implements cancellation for module-reservations-api",
    "digest": _DIGEST,
    "environment": "staging",
    "fromBranch": "main",
    "fromCommit": "9f1c2b7d0e4a5b6c7d8e9f0a1b2c3d4e5f607182",
    "gitPath": "staging/proj-booking-saas/module-reservations-api.yaml",
    "gitRevision": _SHA,
    "head": _SHA,
    "liveRevision": _SHA,
    "desiredRevision": _SHA,
    "mergeCommitSha": _SHA,
    "message": "feat: add reservation cancellation endpoint",
    "moduleId": "module-reservations-api",
    "moduleType": "Microservice",
    "name": "reservations-api",
    "nextStep": "Promote",
    "number": 42,
    "openedBy": "agent:PullRequestCreator",
    "path": "src/Controllers/ReservationsController.cs",
    "projectId": "proj-booking-saas",
    "reason": "ci",
    "releaseDigest": _DIGEST,
    "remoteUrl": "https://git.example.com/connectsoft/proj-booking-saas/reservations-api.git",
    "requestedBy": _AGENT,
    "resourceId": "repo-7a1c0f4e9b2d4c55a0e6d1f38b9c2a10",
    "reviewers": "agent:PullRequestCreator",
    "sha": _SHA,
    "sourceBranch": "feature/reservation-cancellation",
    "sourceSha": _SHA,
    "strategy": "RollingUpdate",
    "targetBranch": "main",
    "targetEnvironment": "staging",
    "targetFeed": "connectsoft-internal",
    "tenantId": "connectsoft",
    "title": "Add reservation cancellation",
    "toEnvironment": "staging",
    "treeHash": "5d4a8c20e1f2a3b4c5d6e7f8091a2b3c4d5e6f70",
    "url": "https://reservations.staging.example.com",
    "version": "1.4.0",
    "visibility": "private",
}
