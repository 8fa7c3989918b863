"""A cold start: import `function_app` and index every function in a fresh process, against FastAPI under
AsgiMiddleware with the same routes and the same models, indexed the same way.

The peer is generated from our endpoint table, and has routes and models only: no database, no tokens, no
business. Ours has all of it. The worker library itself is loaded before the clock starts, as Azure does.
"""

import os
import subprocess
import sys
import types
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from shutil import copyfile
from statistics import median
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel

from bench.report import Bar, Report
from bench.servers import ROOT
from functions.http.endpoint import Endpoint
from functions.http.surface import endpoint_table
from functions.routes import declared

LIMIT = 0.6
_HEAD = '''"""Generated: the routes and models of another app, in FastAPI."""

from datetime import datetime
from typing import Annotated

import azure.functions as func
from fastapi import Depends, FastAPI
from fastapi.security import HTTPBearer
from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

Caller = Annotated[object, Depends(HTTPBearer())]


class Camel(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


'''
_TAIL = """
app = func.AsgiFunctionApp(app=application, http_auth_level=func.AuthLevel.ANONYMOUS)
"""


def cold_start(folder: Path, rounds: int) -> Report:
    endpoints = endpoint_table(declared())
    peer = folder / "cold"
    peer.mkdir()
    copyfile(ROOT / "host.json", peer / "host.json")
    models = _Models()
    routes = [models.route(endpoint) for endpoint in endpoints]
    (peer / "function_app.py").write_text(
        "".join([_HEAD, *models.texts, "application = FastAPI()\n\n\n", *routes, _TAIL])
    )
    times: dict[Path, list[float]] = {ROOT: [], peer: []}
    for turn in range(rounds + 1):
        for app, seen in times.items():
            seconds = _start(app, folder)
            if turn:  # the first one compiles
                seen.append(seconds)
    ours, theirs = (median(one) * 1e3 for one in times.values())
    made = Report(
        f"Cold start: {len(endpoints)} routes and {len(models.texts)} models, {rounds} fresh processes each"
    )
    made.lines.append(
        f"ours {ours:.0f} ms ({_spread(times[ROOT])}), FastAPI in Functions {theirs:.0f} ms"
        f" ({_spread(times[peer])})"
    )
    made.bars.append(Bar("import and index, against FastAPI in Functions", ours / theirs, "<=", LIMIT))
    return made


def _spread(times: list[float]) -> str:
    return f"{min(times) * 1e3:.0f} to {max(times) * 1e3:.0f}"


def _start(app: Path, folder: Path) -> float:
    environment = {**os.environ, "SLIPWAY_DATA_DIR": str(folder / "cold-data"), "SLIPWAY_ROLE": "all"}
    done = subprocess.run(
        [sys.executable, "-m", "bench.indexing", str(app)],
        env={**environment, "PYTHONPATH": str(ROOT)},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        check=True,
    )
    return float(done.stdout)


class _Models:
    """The models of endpoints as source text, each once, those a model needs before it."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._named: dict[type[BaseModel], str] = {}

    def route(self, endpoint: Endpoint) -> str:
        arguments = [f"{parameter.argument}: str" for parameter in endpoint.params]
        path = endpoint.path
        for parameter in endpoint.params:
            path = path.replace(f"{{{parameter.name}}}", f"{{{parameter.argument}}}")
        if endpoint.body is not None:
            arguments.append(f"body: {self.name(endpoint.body)}")
        if endpoint.query is not None:
            arguments += [f"{name}: str | None = None" for name in endpoint.query.model_fields]
        if not endpoint.is_public:
            arguments.insert(0, "caller: Caller")
        shown = "None" if endpoint.view is None else self.name(endpoint.view)
        returns = f"list[{shown}]" if endpoint.paged else shown
        return (
            f'@application.{endpoint.method.lower()}("{path}", status_code={endpoint.status},'
            f" response_model={returns})\n"
            f"async def {endpoint.name}({', '.join(arguments)}) -> None:\n"
            f'    """{endpoint.summary}"""\n\n\n'
        )

    def name(self, model: type[BaseModel]) -> str:
        if model not in self._named:
            fields = [
                f"    {name}: {self._annotation(field.annotation)}"
                + ("" if field.is_required() else " | None = None")
                for name, field in model.model_fields.items()
            ]
            name = self._named[model] = f"M{len(self._named)}{model.__name__}"
            self.texts.append("\n".join([f"class {name}(Camel):", *(fields or ["    pass"]), "\n\n"]))
        return self._named[model]

    def _annotation(self, annotation: Any) -> str:
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            return self.name(annotation)
        if annotation in (int, float, bool, datetime):
            return str(annotation.__name__)
        if get_origin(annotation) in (list, tuple):
            return f"list[{self._annotation(get_args(annotation)[0])}]"
        if get_origin(annotation) in (Union, types.UnionType):
            return next(self._alternatives(annotation))
        return "str"

    def _alternatives(self, annotation: Any) -> Iterator[str]:
        yield from (self._annotation(one) for one in get_args(annotation) if one is not type(None))
