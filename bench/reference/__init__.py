"""The peer: the same work as a reviewer of FastAPI and SQLAlchemy Core would write it."""
