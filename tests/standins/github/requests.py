"""What requests carry: their bodies and which page they ask for."""

from aiohttp import web

from tests.standins.github.faults import Refused, invalid


async def body_of(request: web.Request) -> object:
    try:
        return await request.json()
    except ValueError:
        raise Refused(400, "Problems parsing JSON") from None


def paging(request: web.Request) -> tuple[int, int]:
    try:
        page, size = int(request.query.get("page", 1)), int(request.query.get("per_page", 30))
    except ValueError:
        raise invalid("page and per_page have to be numbers.") from None
    return max(page, 1), min(max(size, 1), 100)
