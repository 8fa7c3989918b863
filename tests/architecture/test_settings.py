"""What people read about settings and commands, held against what there is."""

import json
import re

from pydantic import BaseModel

from local.host import as_environment
from shared.names import COSMOS, SERVICE_BUS
from shared.settings import PREFIX, Settings
from tests.support.host import ROOT

PLATFORM = {
    "FUNCTIONS_WORKER_RUNTIME": "python",
    "AzureWebJobsStorage": "UseDevelopmentStorage=true",
}
"""What the Functions host itself asks for."""
CONNECTIONS = {SERVICE_BUS, COSMOS}
"""Connections that the triggers name; the embedded platform needs none."""

SAMPLE: dict[str, str] = json.loads((ROOT / "local.settings.sample.json").read_text())["Values"]


def test_the_sample_names_every_setting_and_no_other() -> None:
    """A setting that the sample does not name is found by nobody; one that is gone is set in vain."""
    settings = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    assert SAMPLE.keys() == settings | PLATFORM.keys() | CONNECTIONS


def test_the_sample_holds_the_defaults() -> None:
    """Whoever copies the sample must get what they had without it."""
    defaults = as_environment(Settings())
    given = {name: value for name, value in SAMPLE.items() if name.startswith(PREFIX)}
    assert given == defaults
    assert Settings.load(SAMPLE) == Settings()


def test_the_sample_names_the_platforms_own_settings() -> None:
    """The Functions host starts nothing without its worker's name."""
    assert {name: SAMPLE[name] for name in PLATFORM} == PLATFORM
    assert {name: SAMPLE[name] for name in CONNECTIONS} == dict.fromkeys(CONNECTIONS, "")


def test_settings_are_plain_values() -> None:
    """The environment holds texts: a setting that is a model of its own could not be written there."""
    nested = [
        name
        for name, field in Settings.model_fields.items()
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
    ]
    assert nested == []


def test_every_make_target_that_people_read_about_exists() -> None:
    """A command that the README promises and the Makefile lacks is the first thing a newcomer meets."""
    there = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in ("README.md", "CONTRIBUTING.md", "docs/architecture.md"):
        named = set(re.findall(r"(?:^|`)make ([a-z]+)", (ROOT / page).read_text(), re.MULTILINE))
        assert named <= there, page


def test_the_contributors_page_names_every_make_target() -> None:
    """A target that nobody reads about is kept up for nobody."""
    there = set(re.findall(r"^([a-z]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)) - {"help"}
    named = set(re.findall(r"`make ([a-z]+)`", (ROOT / "CONTRIBUTING.md").read_text()))
    assert sorted(there - named) == []


def test_the_readme_opens_with_the_two_commands() -> None:
    """They are what a reader, and a machine, looks for first."""
    blocks = re.findall(r"```\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert blocks[0].splitlines() == ["make demo", "make test"]


def test_every_link_between_the_pages_leads_somewhere() -> None:
    """A page that points at nothing was not read by the one who moved the other."""
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")):
        links = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text())
        missing = [link for link in links if not (page.parent / link).exists()]
        assert missing == [], page.name
