"""What an embedded installation has committed."""

from shared.app import App
from shared.ports.store import Document


async def changes_of(app: App, after: int = 0) -> list[Document]:
    """Every document's latest version after that sequence, in the order of the store."""
    feed = app.ordered_feed
    assert feed is not None, "this platform has no order for the whole store"
    return await feed.changes(after, 1_000_000)
