"""What handlers read of a request, and how a list is answered."""

import base64
from typing import Any

from aiohttp import web

from tests.standins.azure_devops import errors
from tests.standins.azure_devops.organization import Organization, Project
from tests.standins.azure_devops.repository import Repository

PAGE = 100
ORGANIZATION = web.RequestKey("organization", Organization)
DENIED = web.RequestKey("denied", frozenset)


def project_of(request: web.Request) -> Project:
    return request[ORGANIZATION].project(request.match_info["project"])


def repository_of(request: web.Request) -> Repository:
    return request[ORGANIZATION].repository(request.match_info["project"], request.match_info["repository"])


def needs(request: web.Request, permission: str) -> None:
    if permission in request[DENIED]:
        raise errors.no_permission(permission)


async def body_of(request: web.Request) -> Any:
    if request.content_type != "application/json":
        raise errors.bad("The request's content type is not application/json.")
    try:
        return await request.json()
    except ValueError:
        raise errors.bad("TF400898: The request is not JSON.") from None


def listed(rows: list[Any]) -> dict[str, Any]:
    return {"count": len(rows), "value": rows}


def paged(request: web.Request, rows: list[Any]) -> web.Response:
    """By continuation tokens, which nobody may guess."""
    top = min(int(request.query.get("$top", PAGE)), 1000)
    token = request.query.get("continuationToken", "")
    begin = int(base64.urlsafe_b64decode(token)) if token else 0
    headers = {}
    if len(rows) > begin + top:
        headers["x-ms-continuationtoken"] = base64.urlsafe_b64encode(str(begin + top).encode()).decode()
    return web.json_response(listed(rows[begin : begin + top]), headers=headers)
