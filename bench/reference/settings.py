"""Where the reference finds its database and its issuer."""

from functools import cache
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class ReferenceSettings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="REFERENCE_")

    database: Path = Path("reference.db")
    issuer: str = Field(min_length=1)
    audience: str = "slipway"
    jwks_url: str = Field(min_length=1)


@cache
def get_settings() -> ReferenceSettings:
    return ReferenceSettings()
