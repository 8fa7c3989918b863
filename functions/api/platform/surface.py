"""The platform's own endpoints, in no contract's dialect. All of them are public."""

from functions.http.dialects import PLATFORM
from functions.http.surface import Surface

VERSION = "0.1.0"

platform = Surface("platform", title="Platform", dialect=PLATFORM)
