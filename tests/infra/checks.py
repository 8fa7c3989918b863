"""What the app's code and the stack must agree on. Each check gives what is wrong, in sentences."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from infra.access import APP, COSMOS_ROLES, DEPLOY, EXPIRIES, GRANTS, JOBS, ROLES
from infra.recording import Recording, Resource
from shared.names import COSMOS, DATABASE, DOCUMENTS, INDEXES, QUEUES, ROTATION, ROUTES, SERVICE_BUS, parked
from shared.settings import BadSettings, Settings
from tests.support.host import ROOT


@dataclass(frozen=True)
class Function:
    """One function of the package, with its trigger as the host reads it."""

    name: str
    kind: str
    trigger: dict[str, Any]


type Functions = tuple[Function, ...]
type Check = Callable[[Recording, Functions], Iterator[str]]


def app_settings(app: Resource) -> dict[str, str]:
    return {row["name"]: row["value"] for row in app.inputs["siteConfig"]["appSettings"]}


def queues_of_functions_exist_with_their_sessions(stack: Recording, functions: Functions) -> Iterator[str]:
    """A trigger with sessions on a queue without them, or the other way round, never receives anything."""
    queues = {
        each.inputs["queueName"]: each.inputs["requiresSession"] for each in stack.of("servicebus:Queue")
    }
    for function in functions:
        if function.kind == "serviceBusTrigger":
            name, sessions = function.trigger["queueName"], function.trigger["isSessionsEnabled"]
            if queues.get(name) is not sessions:
                yield f"{function.name} wants {name} with sessions {sessions}; it is {queues.get(name)}"


def every_queue_has_one_worker(stack: Recording, functions: Functions) -> Iterator[str]:
    """Without one its work waits for ever; with two, sessions go to either, and one of them may be dead."""
    workers = Counter(each.trigger["queueName"] for each in functions if each.kind == "serviceBusTrigger")
    for job in stack.of("app:Job"):
        rules = job.inputs["configuration"]["eventTriggerConfig"]["scale"]["rules"]
        workers.update(rule["metadata"]["queueName"] for rule in rules)
    for queue in sorted({*QUEUES, ROTATION, *workers}):
        if workers[queue] != 1 or queue not in (*QUEUES, ROTATION):
            yield f"{queue} has {workers[queue]} workers"


def queues_of_the_relay_exist(stack: Recording, functions: Functions) -> Iterator[str]:
    """The relay would send to a queue that is not there, for ever, and hold the whole feed."""
    queues = {each.inputs["queueName"] for each in stack.of("servicebus:Queue")}
    wanted = {queue for targets in ROUTES.values() for queue in targets} | {parked(queue) for queue in QUEUES}
    yield from (f"{queue} is missing" for queue in sorted(wanted - queues))


def containers_of_functions_exist(stack: Recording, functions: Functions) -> Iterator[str]:
    """The feed's reader and its leases; the trigger makes neither by itself."""
    database = [each.inputs["databaseName"] for each in stack.of("cosmosdb:SqlResourceSqlDatabase")]
    there = {each.inputs["containerName"] for each in stack.of("cosmosdb:SqlResourceSqlContainer")}
    for function in functions:
        if function.kind == "cosmosDBTrigger":
            if [function.trigger["databaseName"]] != database:
                yield f"{function.name} wants the database {function.trigger['databaseName']}"
            wanted = {function.trigger["containerName"], function.trigger["leaseContainerName"]}
            yield from (f"{function.name} wants the container {name}" for name in sorted(wanted - there))


def every_index_is_served(stack: Recording, functions: Functions) -> Iterator[str]:
    """Cosmos refuses an ORDER BY of several paths without a composite index of exactly these."""
    documents = _documents(stack)
    composites = {
        tuple(path["path"].replace('"', "") for path in index)
        for index in documents["indexingPolicy"].get("compositeIndexes", [])
    }
    for index in INDEXES:
        fields = [f"/body/{name}" for name in (*index.equal, index.order)]
        if ("/tenantId", "/kind", *fields, "/id") not in composites:
            yield f"no composite index serves {index}"


def documents_expire_and_lie_by_root(stack: Recording, functions: Functions) -> Iterator[str]:
    """Without a default TTL an item's own is ignored, and nothing ever expires."""
    documents = _documents(stack)
    if documents.get("defaultTtl") != -1:
        yield f"defaultTtl is {documents.get('defaultTtl')}"
    key = documents["partitionKey"]
    if (key["kind"], key["version"], key["paths"]) != ("MultiHash", 2, ["/tenantId", "/root"]):
        yield f"the partition key is {key}"


def connections_of_triggers_are_set(stack: Recording, functions: Functions) -> Iterator[str]:
    """A trigger whose connection has no setting stops the whole host at its start."""
    wheres = {SERVICE_BUS: "fullyQualifiedNamespace", COSMOS: "accountEndpoint"}
    needed = {function.trigger["connection"] for function in functions if "connection" in function.trigger}
    for app in stack.of("web:WebApp"):
        given = app_settings(app)
        for name in (f"{connection}__{wheres[connection]}" for connection in sorted(needed)):
            if not given.get(name):
                yield f"{app.name} does not set {name}"


def settings_load(stack: Recording, functions: Functions) -> Iterator[str]:
    """A setting that the app does not know is set in vain; one that it refuses stops it at its start."""
    known = {f"SLIPWAY_{name.upper()}" for name in Settings.model_fields}
    apps = [app_settings(app) for app in stack.of("web:WebApp")]
    for given in (*apps, *map(_environment, (*stack.of("app:Job"), *stack.of("app:ContainerApp")))):
        ours = {name for name in given if name.startswith("SLIPWAY_")}
        yield from (f"{name} is no setting" for name in sorted(ours - known))
        try:
            Settings.load(given)
        except BadSettings as error:
            yield str(error)


def roles_are_covered_once(stack: Recording, functions: Functions) -> Iterator[str]:
    """Without a worker nothing moves; with two apps of one role everything is done by either."""
    roles = Counter(app_settings(app)["SLIPWAY_ROLE"] for app in stack.of("web:WebApp"))
    if roles not in (Counter(["all"]), Counter(["api", "worker"])):
        yield f"roles are {dict(roles)}"


def warm_functions_exist(stack: Recording, functions: Functions) -> Iterator[str]:
    """Azure keeps instances warm for a function that is not there, and bills them."""
    names = {"http", *(f"function:{function.name}" for function in functions)}
    for app in stack.of("web:WebApp"):
        scale = app.inputs["functionAppConfig"]["scaleAndConcurrency"]
        yield from (
            f"{each['name']} is no function" for each in scale["alwaysReady"] if each["name"] not in names
        )


def the_runtime_is_ours(stack: Recording, functions: Functions) -> Iterator[str]:
    """Azure accepts any version, and the app is dead at its start."""
    ours = ".".join((ROOT / ".python-version").read_text().strip().split(".")[:2])
    for app in stack.of("web:WebApp"):
        version = app.inputs["functionAppConfig"]["runtime"]["version"]
        if version != ours:
            yield f"{app.name} runs Python {version}; the package is tested with {ours}"


def jobs_work_the_queue_that_starts_them(stack: Recording, functions: Functions) -> Iterator[str]:
    """Started for one queue and working another, it would be started for ever; and a run may take an hour."""
    for job in stack.of("app:Job"):
        configuration = job.inputs["configuration"]
        (rule,) = configuration["eventTriggerConfig"]["scale"]["rules"]
        (container,) = job.inputs["template"]["containers"]
        queue, module = rule["metadata"]["queueName"], container["command"][-1]
        if container["args"] != [queue] or _environment(job)["SLIPWAY_JOB_QUEUES"] != queue:
            yield f"{job.name} is started for {queue}, and works {container['args']}"
        if find_spec(module) is None:
            yield f"{job.name} runs {module}, which is not there"
        if configuration["replicaTimeout"] < Settings().run_timeout_seconds:
            yield f"{job.name} is killed before a run has to end"


def grants_are_the_table(stack: Recording, functions: Functions) -> Iterator[str]:
    """An assignment that no row explains is a hole; a row without one is a 403 at three in the morning."""
    roles = {guid: name for name, guid in {**ROLES, **COSMOS_ROLES}.items()}
    principals = {f"of-id-{who}": who for who in (APP, JOBS, DEPLOY)} | {"of-egst": EXPIRIES}
    made = set()
    for each in (
        *stack.of("authorization:RoleAssignment"),
        *stack.of("cosmosdb:SqlResourceSqlRoleAssignment"),
    ):
        who = next(
            (who for start, who in principals.items() if each.inputs["principalId"].startswith(f"{start}-")),
            "?",
        )
        made.add((who, roles.get(each.inputs["roleDefinitionId"].rpartition("/")[2], "?")))
    table = {(grant.who, grant.role) for grant in GRANTS}
    yield from (f"{who} has {role}, which no row says" for who, role in sorted(made - table))
    present = {who for who, _ in made}
    missing = {row for row in table - made if row[0] in present and row[1] != "AcrPull"}
    yield from (f"{who} lacks {role}" for who, role in sorted(missing))


def grants_come_before_what_needs_them(stack: Recording, functions: Functions) -> Iterator[str]:
    """A first start that meets a role not yet granted fails, and is not tried again for minutes."""
    granted = {
        each.urn
        for each in (
            *stack.of("authorization:RoleAssignment"),
            *stack.of("cosmosdb:SqlResourceSqlRoleAssignment"),
        )
        if not each.name.startswith(f"{DEPLOY}-website")
    }
    for each in (*stack.of("web:WebApp"), *stack.of("app:Job"), *stack.of("app:ContainerApp")):
        if missing := granted - set(each.dependencies):
            yield f"{each.name} does not wait for {len(missing)} grants"


def _documents(stack: Recording) -> dict[str, Any]:
    for each in stack.of("cosmosdb:SqlResourceSqlContainer"):
        if (each.inputs["databaseName"], each.inputs["containerName"]) == (DATABASE, DOCUMENTS):
            return dict(each.inputs["resource"])
    return {"indexingPolicy": {}, "partitionKey": {"kind": None, "version": None, "paths": []}}


def _environment(container: Resource) -> dict[str, str]:
    (only,) = container.inputs["template"]["containers"]
    return {row["name"]: row.get("value") or row["secretRef"] for row in only["env"]}


CHECKS: tuple[Check, ...] = (
    queues_of_functions_exist_with_their_sessions,
    every_queue_has_one_worker,
    queues_of_the_relay_exist,
    containers_of_functions_exist,
    every_index_is_served,
    documents_expire_and_lie_by_root,
    connections_of_triggers_are_set,
    settings_load,
    roles_are_covered_once,
    warm_functions_exist,
    the_runtime_is_ours,
    jobs_work_the_queue_that_starts_them,
    grants_are_the_table,
    grants_come_before_what_needs_them,
)
