"""Request and response, as the measured endpoint of ours has them."""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
ReleaseId = Annotated[str, Field(pattern=r"^rel-[0-9a-f]{32}$")]
ComponentId = Annotated[str, Field(pattern=r"^comp-[0-9a-f]{32}$")]


class Camel(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


class Artifact(Camel):
    name: Name
    kind: Annotated[str, Field(min_length=1, max_length=40)]
    digest: Digest


class ReleaseIn(Camel):
    tenant_id: str | None = None
    name: Annotated[str, Field(min_length=1, max_length=100)]
    commit_sha: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
    strategy: Annotated[str, Field(max_length=40)] = "RollingUpdate"
    notes: Annotated[str, Field(max_length=2000)] = ""
    artifacts: Annotated[list[Artifact], Field(min_length=1, max_length=20)]


class ReleaseOut(Camel):
    release_id: str
    component_id: str
    number: int
    name: str
    commit_sha: str
    strategy: str
    notes: str
    artifacts: list[Artifact]
    status: str
    created_by: str
    created_at: datetime
