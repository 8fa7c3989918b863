"""The documentation page: Swagger UI over the OpenAPI documents of all surfaces, with files of its own only.

Files are named in one fixed table; a path never comes from a request.
"""

import hashlib
import json
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from functions.http.endpoint import Raw
from shared.domain.kernel.errors import NotFound

if TYPE_CHECKING:
    from functions.http.surface import Surface

_HTML, _CSS, _SCRIPT, _PNG = "text/html", "text/css", "text/javascript", "image/png"
_BUNDLED = {
    "swagger-ui.css": _CSS,
    "swagger-ui-bundle.js": _SCRIPT,
    "swagger-ui-standalone-preset.js": _SCRIPT,
    "favicon-32x32.png": _PNG,
}
_START, _STYLE = "start.js", "page.css"

# The logo of Swagger UI is painted by an inline style, which the policy below refuses.
_RULES = b"""html { box-sizing: border-box; overflow-y: scroll; }
*, *::before, *::after { box-sizing: inherit; }
body { margin: 0; background: #fafafa; }
.swagger-ui .topbar-wrapper .link { visibility: hidden; }
"""

_HEADERS = {
    # A script that found its way into a document would run with the token that a reader typed in.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self';"
    " img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    # Kept, and asked about each time: a new version must not meet the scripts of the old one.
    "Cache-Control": "no-cache",
}

_PAGE = b"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Slipway API</title>
<link rel="stylesheet" href="docs/swagger-ui.css">
<link rel="stylesheet" href="docs/page.css">
<link rel="icon" type="image/png" href="docs/favicon-32x32.png">
</head>
<body>
<div id="swagger-ui"></div>
<noscript>The page needs JavaScript; the documents are at /openapi/devops.json and so on.</noscript>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/swagger-ui-standalone-preset.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"""


def page() -> Raw:
    return _raw(_PAGE, _HTML)


def file(name: str, surfaces: Iterable["Surface"]) -> Raw:
    """A file that the page names. Raises NotFound for any other."""
    if name == _START:
        return _raw(_start(surfaces), _SCRIPT)
    if name == _STYLE:
        return _raw(_RULES, _CSS)
    if name not in _BUNDLED:
        raise NotFound("The documentation has no such file; open /docs.")
    return _raw(_bundled(name), _BUNDLED[name])


def _start(surfaces: Iterable["Surface"]) -> bytes:
    # Relative to the page, so that it also works behind a gateway that puts a prefix before it.
    urls = [{"name": surface.title, "url": f"openapi/{surface.name}.json"} for surface in surfaces]
    # Swagger UI would otherwise send every document to a validator on the internet.
    options = {"urls": urls, "dom_id": "#swagger-ui", "deepLinking": True, "validatorUrl": None}
    return (
        f"const options = {json.dumps(options)};\n"
        "options.presets = [SwaggerUIBundle.presets.apis, SwaggerUIStandalonePreset];\n"
        "options.layout = 'StandaloneLayout';\n"
        "SwaggerUIBundle(options);\n"
    ).encode()


@cache
def _bundled(name: str) -> bytes:
    return (files("openapi_ui_bundles.swagger_ui") / "vendor" / name).read_bytes()


def _raw(body: bytes, content_type: str) -> Raw:
    return Raw(body, content_type, {**_HEADERS, "ETag": f'"{hashlib.sha256(body).hexdigest()[:32]}"'})
