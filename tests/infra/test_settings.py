"""What a stack's configuration may say, and what it is told when it is wrong."""

import json
import re
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml

from infra.app_map import CONFIGURABLE, NOT_ON_AZURE, SECRETS, variable
from infra.names import PROJECT, RULES, Names
from infra.recording import FOLDER, Recording, stack_config
from infra.settings import Settings, keys
from shared.settings import Settings as AppSettings
from tests.infra.checks import app_settings
from tests.infra.variants import APP_SETTINGS, IMAGES

STACKS = ("dev", "prod")


def loaded(stack: str = "dev", **changes: Any) -> Settings:
    config = stack_config(stack) | {f"{PROJECT}:{key}": value for key, value in changes.items()}
    pulumi.runtime.set_all_config(
        {
            key: value if isinstance(value, str) else json.dumps(value)
            for key, value in config.items()
            if value is not None
        }
    )
    return Settings.load()


MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({"environment": "production"}, "slipway:environment `production` must be 2 to 5 lower-case letters"),
    ({"environment": None}, "slipway:environment is missing"),
    ({"budget": None}, "slipway:budget is missing"),
    ({"budget": "much"}, "slipway:budget must be a whole number"),
    ({"budget": 0}, "slipway:budget must be at least 1"),
    ({"budgetFrom": "2026-12-15"}, "slipway:budgetFrom must be the first of a month"),
    ({"budgetFrom": "soon"}, "slipway:budgetFrom must be the first of a month"),
    ({"private": "perhaps"}, "slipway:private must be true or false"),
    ({"private": True}, "slipway:private needs slipway:serviceBus Premium"),
    ({"roles": ["api"]}, "slipway:roles must be [all], or [api, worker]"),
    ({"roles": "all"}, "slipway:roles must be a list of texts"),
    ({"instanceMemoryMb": 1024}, "slipway:instanceMemoryMb must be one of 512, 2048, 4096"),
    ({"maximumInstances": 1001}, "slipway:maximumInstances must be 1 to 1000"),
    ({"httpConcurrency": 0}, "slipway:httpConcurrency must be 1 to 1000"),
    ({"alwaysReady": {"api": {"http": 1}}}, "names the role `api`, which this stack does not have"),
    ({"alwaysReady": {"all": {"queue": 1}}}, "slipway:alwaysReady `queue` must be http or function:<name>"),
    ({"alwaysReady": {"all": {"http": 41}}}, "slipway:alwaysReady of `http` must be 0 to"),
    ({"alwaysReady": ["http"]}, "slipway:alwaysReady must be counts by name by role"),
    ({"cosmos": "provisioned"}, "slipway:cosmos must be serverless or autoscale"),
    ({"cosmosThroughput": 1500}, "slipway:cosmosThroughput must be a multiple of 1000"),
    ({"serviceBus": "Basic"}, "slipway:serviceBus must be Standard or Premium"),
    ({"messagingUnits": 3}, "slipway:messagingUnits must be 1, 2, 4, 8 or 16"),
    ({"zoneRedundant": True}, "slipway:zoneRedundant needs slipway:cosmos autoscale"),
    ({"edge": "Basic"}, "slipway:edge must be none, Standard or Premium"),
    ({"issuer": "login.example"}, "slipway:issuer must be an https:// URL"),
    ({"publicUrl": "http://api.example"}, "slipway:publicUrl must be an https:// URL"),
    ({"jobsImage": "slipway-jobs:latest"}, "slipway:jobsImage must be an image with its digest"),
    ({"jobsImage": IMAGES["jobsImage"]}, "slipway:registry must be the resource id of slipway.azurecr.io"),
    ({"registry": "slipway"}, "slipway:registry must be the resource id of a container registry"),
    ({"deployFrom": "main"}, "slipway:deployFrom must be like repo:owner/name:environment:prod"),
    ({"deployFrom": "repo:o/n:ref:refs/heads/main"}, "slipway:deployFrom must name an environment"),
    ({"evidenceDays": 0}, "slipway:evidenceDays must be 1 to 146000"),
    ({"logDays": 7}, "slipway:logDays must be 30 to 730"),
    ({"app": ["approvals"]}, "slipway:app must be settings by name"),
    ({"app": {"port": 80, "aprovals": {}}}, "slipway:app names aprovals, port; a stack may give approvals"),
    ({"app": {"approvals": {"dev": [1]}}}, "slipway:app approvals must hold plain values without commas"),
    ({"logGbPerDay": 0}, "slipway:logGbPerDay must be at least 1"),
]


@pytest.mark.parametrize(("changes", "told"), MISTAKES, ids=[str(changes) for changes, _ in MISTAKES])
def test_a_mistake_is_told_in_one_line_before_anything_is_made(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(pulumi.RunError, match=re.escape(told)) as refused:
        loaded(**changes)
    assert len(str(refused.value).splitlines()) == 2


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(pulumi.RunError) as refused:
        loaded(private=True, logDays=7, edge="Basic")
    assert len(str(refused.value).splitlines()) == 4


@pytest.mark.parametrize("stack", STACKS)
def test_a_stack_file_says_nothing_that_nobody_reads(stack: str) -> None:
    """A misspelled key would be ignored, and the default taken."""
    said = {key.removeprefix(f"{PROJECT}:") for key in stack_config(stack) if key.startswith(f"{PROJECT}:")}
    assert said <= keys()
    assert stack_config(stack)["azure-native:location"] == stack_config(stack)[f"{PROJECT}:location"]


@pytest.mark.parametrize("stack", STACKS)
def test_a_stack_file_is_right(stack: str) -> None:
    assert loaded(stack).environment == stack


def test_images_and_a_workflow_are_accepted() -> None:
    settings = loaded(**IMAGES, deployFrom="repo:slipway/slipway:environment:dev")
    assert settings.registry.endswith("/slipway")


def test_every_setting_of_the_app_is_set_or_may_be_or_is_not_for_azure(
    recordings: dict[str, Recording],
) -> None:
    """A setting that no stack can give is one that nobody has on Azure."""
    given = {
        name
        for recording in (recordings["dev"], recordings["private"])
        for each in recording.of("web:WebApp")
        for name in app_settings(each)
    }
    ways = (
        [name for name in AppSettings.model_fields if variable(name) in given and name not in CONFIGURABLE],
        CONFIGURABLE,
        SECRETS,
        NOT_ON_AZURE,
    )
    assert sorted(name for way in ways for name in way) == sorted(AppSettings.model_fields)


def test_the_app_is_given_its_settings_as_it_reads_them() -> None:
    given = {variable(name): value for name, value in loaded(app=APP_SETTINGS).app.items()}
    read = AppSettings.load(given)
    assert read.approvals == {"dev": 0, "prod": 2}
    assert read.azure_devops_create_projects
    assert read.iac_programs == {"Acme.Shop": Path("infra/shop")}


def test_the_project_is_called_as_its_settings_are() -> None:
    project = yaml.safe_load((FOLDER / "Pulumi.yaml").read_text())
    assert project["name"] == PROJECT


def test_two_stacks_never_share_a_name() -> None:
    suffixes = {
        Names.of(organization, PROJECT, stack, "dev").suffix
        for organization in ("one", "other")
        for stack in ("dev", "prod")
    }
    assert len(suffixes) == 4


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("storage:StorageAccount", "st-slipway"),
        ("storage:StorageAccount", "st" + "a" * 23),
        ("keyvault:Vault", "1-kv"),
        ("keyvault:Vault", "kv--slipway"),
        ("servicebus:Namespace", "sb"),
        ("cosmosdb:DatabaseAccount", "Cosmos-Slipway"),
        ("web:WebApp", "func-" + "a" * 28),
        ("app:Job", "job-" + "a" * 29),
    ],
)
def test_a_name_that_azure_refuses_is_refused_here(kind: str, name: str) -> None:
    assert RULES[f"azure-native:{kind}"].broken_by(name)


@pytest.mark.parametrize("environment", ["dv", "stage"])
def test_the_longest_and_the_shortest_environment_fit_every_name(environment: str) -> None:
    names = Names(environment, "0a1b2c")
    for kind, name in (
        ("storage:StorageAccount", names.compact("stdata")),
        ("keyvault:Vault", names("kv")),
        ("servicebus:Namespace", names("sb")),
        ("web:WebApp", names("func-worker")),
        ("app:ContainerApp", names("ca-gateway")),
        ("app:Job", names("job-runs")),
    ):
        assert RULES[f"azure-native:{kind}"].broken_by(name) is None
