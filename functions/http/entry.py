"""One HTTP-triggered function: the binding that a host indexes. What answers is made on the first request."""

from collections.abc import Awaitable, Callable

import azure.functions as func

type Answer = Callable[[func.HttpRequest], Awaitable[func.HttpResponse]]


def http_function(
    app: func.FunctionApp, name: str, method: str, path: str, answering: Callable[[], Answer]
) -> None:
    """Declare it. `answering` is called once, by the first request."""
    route = app.route(route=path.removeprefix("/"), methods=[method], auth_level=func.AuthLevel.ANONYMOUS)
    app.function_name(name)(route(_entry(answering)))


def _entry(answering: Callable[[], Answer]) -> Answer:
    answer: Answer | None = None

    # The indexer reads this signature: it must be exactly the binding, so no functools.wraps and no defaults.
    async def entry(req: func.HttpRequest) -> func.HttpResponse:
        nonlocal answer
        if answer is None:
            answer = answering()
        return await answer(req)

    return entry
