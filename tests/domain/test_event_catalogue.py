"""Every event that leaves a decision is declared, and its committed schema is the declared one."""

import ast
import re
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from shared.domain.catalogue.declare import Kind
from shared.domain.catalogue.events import EVENTS
from shared.names import PARKED_EVENT, ROUTES
from tests.architecture.tree import Source, sources
from tests.support.event_schemas import FOLDER, generated

NAMING = {"Event", "fact", "_fact", "_event"}
TYPE = re.compile(r"[A-Z][A-Za-z]+")
# Domain reference, events of the delivery platform: what subscribers of any installation may count on.
CONTRACT = {
    "RepositoryProvisioned": "repositoryId provider remoteUrl defaultBranch visibility",
    "BranchCreated": "branchId repositoryId name fromCommitSha isProtected",
    "CommitCreated": "commitId repositoryId branch sha treeHash artifactId",
    "PullRequestOpened": "pullRequestId number repositoryId sourceBranch targetBranch",
    "PullRequestMerged": (
        "pullRequestId number repositoryId sourceBranch targetBranch mergeCommitSha mergedBy"
    ),
    "PipelineGenerated": "pipelineId repositoryId definitionPath moduleType contentHash",
    "PipelineRunStarted": "pipelineRunId pipelineId branch commitSha buildNumber reason",
    "BuildCompleted": "buildResultId pipelineRunId moduleId status tests artifacts logsUri",
    "ReleasePlanned": (
        "releaseId version buildResultId targetEnvironment strategy requiredApprovals plannedBy"
    ),
    "ReleaseApproved": "releaseId approvalId approver approvalsGranted approvalsRequired",
    "DeploymentPromoted": (
        "promotionId releaseId version fromEnvironment toEnvironment manifestRevision images strategy"
    ),
    "InfrastructureProvisioned": "infrastructurePlanId stack environment changes outputsRef",
    "GitOpsSynced": "syncStateId environment desiredRevision liveRevision driftResolved",
}


def emitted(source: Source) -> set[str]:
    """The types that are named where an event is made."""
    return {
        call.args[0].value
        for call in source.nodes
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Name)
        and call.func.id in NAMING
        and call.args
        and isinstance(call.args[0], ast.Constant)
        and isinstance(call.args[0].value, str)
        and TYPE.fullmatch(call.args[0].value)
    }


def test_every_event_in_the_code_is_declared() -> None:
    found = {
        name: source.path for source in sources("shared/", "functions/") for name in sorted(emitted(source))
    }
    assert {name: path for name, path in found.items() if name not in EVENTS} == {}


def test_every_declared_event_is_in_the_code() -> None:
    made = {name for source in sources("shared/", "functions/") for name in emitted(source)}
    again = {f"{name}Again" for name in made}
    assert EVENTS.keys() - made - again - {PARKED_EVENT} == set()


def test_every_routed_type_is_declared() -> None:
    assert ROUTES.keys() - EVENTS.keys() == set()


@pytest.mark.parametrize("name", CONTRACT)
def test_a_type_of_the_contract_has_all_its_fields(name: str) -> None:
    assert set(CONTRACT[name].split()) <= EVENTS[name].fields.keys()


def test_the_committed_schemas_are_the_declared_ones() -> None:
    wrong = [path.name for path, text in generated().items() if not path.exists() or path.read_text() != text]
    assert not wrong, f"python -m tests.support.event_schemas: {wrong}"


def test_no_schema_is_left_of_what_is_gone() -> None:
    assert {path.name for path in FOLDER.iterdir()} == {path.name for path in generated()}


@pytest.mark.parametrize("name", EVENTS)
def test_a_schema_is_valid_and_open_for_additions(name: str) -> None:
    schema = EVENTS[name].schema()
    Draft202012Validator.check_schema(schema)
    assert "additionalProperties" not in str(schema)
    assert EVENTS[name].summary.endswith(".")


def test_commands_are_routed_to_one_worker() -> None:
    commands = {name for name, event in EVENTS.items() if event.kind is Kind.COMMAND} - {PARKED_EVENT}
    assert {name: ROUTES.get(name) for name in commands if len(ROUTES.get(name, ())) != 1} == {}


def test_the_transport_properties_are_those_of_the_page() -> None:
    page = (Path(FOLDER) / "README.md").read_text()
    told = set(re.findall(r"^\| `(cs-[a-z-]+|traceparent|content-type)`", page, re.MULTILINE))
    relay = next(source for source in sources("functions/") if source.path == "functions/relay/outbox.py")
    made = {
        node.value
        for node in relay.nodes
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and re.fullmatch(r"cs-[a-z-]+|traceparent|content-type", node.value)
    }
    assert told == made
