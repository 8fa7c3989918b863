"""Every variant of the stack, recorded once; the pack, served once; the app's functions, indexed once."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from infra.recording import Recording, record
from tests.infra.checks import Function, Functions, app_settings
from tests.infra.pack import Pack, served
from tests.infra.variants import VARIANTS
from tests.support.host import ROOT

_PROGRAM = """
import json, function_app
print(json.dumps([
    {**each.get_trigger().get_dict_repr(), "name": each.get_function_name()}
    for each in function_app.app.get_functions()
], default=str))
"""


@pytest.fixture(scope="session")
def recordings() -> dict[str, Recording]:
    """By variant. Apart from a test's own loop, which Pulumi would take for its own."""
    with ThreadPoolExecutor(1) as apart:
        return {
            name: apart.submit(record, stack, changes).result() for name, (stack, changes) in VARIANTS.items()
        }


@pytest.fixture(scope="session")
def pack() -> Iterator[Pack]:
    with served() as one:
        yield one


@pytest.fixture(scope="session")
def functions(recordings: dict[str, Recording]) -> dict[str, Functions]:
    """What each variant's apps register, under the very settings that the program gives them."""
    settings = {
        variant: [app_settings(app) for app in recording.of("web:WebApp")]
        for variant, recording in recordings.items()
    }
    apart = {_key(each): each for apps in settings.values() for each in apps}
    with ThreadPoolExecutor(2) as pool:
        indexed = dict(zip(apart, pool.map(_index, apart.values()), strict=True))
    return {
        variant: tuple(function for each in apps for function in indexed[_key(each)])
        for variant, apps in settings.items()
    }


def _key(settings: dict[str, str]) -> tuple[str, str]:
    """What decides about the functions; the rest is where things are."""
    return settings["SLIPWAY_ROLE"], settings["SLIPWAY_JOB_QUEUES"]


def _index(settings: dict[str, str]) -> Functions:
    """In a process of its own: an app can be indexed once only."""
    program = [sys.executable, "-c", _PROGRAM]
    ours = {name: value for name, value in settings.items() if name.startswith("SLIPWAY_")}
    told = subprocess.run(program, cwd=ROOT, env={**os.environ, **ours}, capture_output=True, check=False)
    assert told.returncode == 0, told.stderr.decode()
    return tuple(Function(each["name"], each["type"], each) for each in json.loads(told.stdout))
