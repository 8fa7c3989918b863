"""A stand-in for Cosmos DB (NoSQL): the wire protocol that azure-cosmos speaks, over SQLite."""

from tests.standins.cosmos.server import CosmosStandIn

__all__ = ["CosmosStandIn"]
