"""Azure's side: does this identity get tokens, do the services answer, are containers and queues as they must
be. Reads and opens links; takes no message and changes nothing.
"""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import aiohttp
from azure.core.exceptions import AzureError
from azure.cosmos.aio import CosmosClient
from azure.servicebus.aio import ServiceBusClient

from local.doctor.finding import Finding, fail, ok, warn
from shared.adapters.azure.cosmos_indexing import Definition, containers
from shared.adapters.azure.servicebus_entities import QUEUE_ENTITIES, QueueEntity
from shared.adapters.azure.servicebus_messages import RECEIVER, SENDER
from shared.adapters.azure.servicebus_messages import told as in_our_words
from shared.domain.kernel.errors import DeliveryError
from shared.names import DATABASE, INDEXES
from shared.ports.clock import Clock
from shared.settings import LOOPBACK, Settings

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential

_DEPLOY: Final = "Deploy the infrastructure again: pulumi up --stack STACK, in infra/."
_SESSION: Final = "slipway-doctor"
"""No stream is called so: asking for its session takes nobody's message."""
_SECONDS: Final = 10.0
_SKEW_WARN, _SKEW_FAIL = timedelta(seconds=30), timedelta(minutes=5)


def resources(settings: Settings) -> Mapping[str, str]:
    """What tokens are asked for, by port."""
    cosmos = urlsplit(settings.cosmos_endpoint)
    return {
        "store": f"https://{cosmos.hostname}/.default",
        "bus": "https://servicebus.azure.net/.default",
        "vault": "https://vault.azure.net/.default",
        "blobs": "https://storage.azure.com/.default",
    }


def grants(settings: Settings) -> Mapping[str, str]:
    """The commands that give this identity what it needs, by port."""
    who = settings.client_id or "$(az ad signed-in-user show --query id --output tsv)"
    account = _first_label(settings.cosmos_endpoint)
    group = _found("Microsoft.DocumentDB/databaseAccounts", account, "resourceGroup")
    principal = f"$(az ad sp show --id {who} --query id --output tsv)" if settings.client_id else who
    bus = _found("Microsoft.ServiceBus/namespaces", settings.servicebus_namespace.partition(".")[0])
    vault = _found("Microsoft.KeyVault/vaults", _first_label(settings.keyvault_url))
    storage = _found("Microsoft.Storage/storageAccounts", _first_label(settings.blob_endpoint))
    return {
        "store": f"az cosmosdb sql role assignment create --account-name {account} --resource-group"
        f' "{group}" --scope / --principal-id "{principal}"'
        " --role-definition-id 00000000-0000-0000-0000-000000000002",
        "bus": "; ".join(_assign(who, role, bus) for role in (SENDER, RECEIVER)),
        "vault": _assign(who, "Key Vault Secrets Officer", vault),
        "blobs": _assign(who, "Storage Blob Data Contributor", storage),
    }


def _assign(who: str, role: str, scope: str) -> str:
    return f'az role assignment create --assignee "{who}" --role "{role}" --scope "{scope}"'


def _found(kind: str, name: str, field: str = "id") -> str:
    return f"$(az resource list --name {name} --resource-type {kind} --query [0].{field} --output tsv)"


def _first_label(url: str) -> str:
    return (urlsplit(url).hostname or "").partition(".")[0]


async def examine_identity(settings: Settings, credential: "AsyncTokenCredential") -> AsyncIterator[Finding]:
    advice = (
        "Set SLIPWAY_CLIENT_ID to the client id of the app's user-assigned identity; on your own machine,"
        " leave it empty and run az login --tenant TENANT."
    )
    for port, scope in resources(settings).items():
        tried = f"get a token for {scope}"
        try:
            await credential.get_token(scope)
        except AzureError as error:
            yield fail(f"identity {port}", tried, str(error).partition("\n")[0][:300], advice)
        else:
            yield ok(f"identity {port}", tried)


async def examine_endpoints(settings: Settings, clock: Clock) -> AsyncIterator[Finding]:
    """Each service and the issuer: its name, its certificate, its answer and its clock."""
    urls = {
        "endpoint store": settings.cosmos_endpoint,
        "endpoint vault": settings.keyvault_url,
        "endpoint blobs": settings.blob_endpoint,
        "issuer": settings.jwks_url
        or f"{settings.token_issuer.rstrip('/')}/.well-known/openid-configuration",
    }
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_SECONDS)) as client:
        for subject, url in urls.items():
            async for finding in _asked(client, subject, url, clock):
                yield finding
    yield await _linked(settings.servicebus_namespace)


async def _asked(
    client: aiohttp.ClientSession, subject: str, url: str, clock: Clock
) -> AsyncIterator[Finding]:
    tried = f"GET {url}"
    try:
        async with client.get(url) as answer:
            status, date = answer.status, answer.headers.get("Date")
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        yield fail(subject, tried, str(error) or type(error).__name__, _reaching(url))
        return
    if subject == "issuer" and status != 200:
        told = f"it answered {status}"
        yield fail(subject, tried, told, "Set SLIPWAY_ISSUER to the issuer of your callers' tokens.")
        return
    yield ok(subject, tried, f"it answered {status}")
    if date is not None:
        yield from_clock(subject, abs(clock.now() - parsedate_to_datetime(date)))


def from_clock(subject: str, skew: timedelta) -> Finding:
    """Tokens and signed URLs are worth nothing to a clock that is minutes off."""
    tried, told = f"compare with the clock of {subject}", f"{skew.total_seconds():.0f} s apart"
    if skew > _SKEW_WARN:
        judge = fail if skew > _SKEW_FAIL else warn
        return judge("clock", tried, told, "Set this machine's clock by NTP.")
    return ok("clock", tried, told)


async def _linked(namespace: str) -> Finding:
    host, _, port = namespace.partition(":")
    is_local = host in LOOPBACK
    tried = f"open {host}:{port or 5671}"
    secured = None if is_local else ssl.create_default_context()
    try:
        async with asyncio.timeout(_SECONDS):
            _, writer = await asyncio.open_connection(host, int(port or 5671), ssl=secured)
            writer.close()
            await writer.wait_closed()
    except (OSError, TimeoutError) as error:
        told = str(error) or f"no answer within {_SECONDS:.0f} seconds"
        return fail("endpoint bus", tried, told, _reaching(f"amqps://{host}"))
    return ok("endpoint bus", tried)


def _reaching(url: str) -> str:
    host = urlsplit(url).hostname or url
    return (
        f"See that {host} is the right name and that this network may reach it; with private endpoints, run"
        f" this inside the stack's network. nslookup {host} tells which address it has here."
    )


async def examine_containers(
    settings: Settings, credential: "AsyncTokenCredential"
) -> AsyncIterator[Finding]:
    """Every container is there, partitioned and expiring as the store relies on."""
    client = CosmosClient(settings.cosmos_endpoint, credential, enable_endpoint_discovery=False)
    advice = f"{_DEPLOY} If it is refused: {grants(settings)['store']}"
    async with AsyncExitStack() as stack:
        stack.push_async_callback(client.close)
        for wanted in containers(INDEXES):
            name = f"container {wanted['id']}"
            tried = "compare its partition key, its expiry and its indexes"
            try:
                await client.__aenter__()  # asks for the account; entered by hand, it is closed when refused
                database = client.get_database_client(DATABASE)
                there = await database.get_container_client(wanted["id"]).read()
            except AzureError as error:
                yield fail(name, tried, str(error).partition("\n")[0][:300], advice)
                continue
            wrong = list(_differences(wanted, there))
            yield fail(name, tried, "; ".join(wrong), _DEPLOY) if wrong else ok(name, tried)


def _differences(wanted: Definition, there: Mapping[str, Any]) -> Iterator[str]:
    for part in ("paths", "kind"):
        if there["partitionKey"].get(part) != wanted["partitionKey"][part]:
            yield f"its partition key has {part} {there['partitionKey'].get(part)}"
    if there.get("defaultTtl") != wanted.get("defaultTtl"):
        yield f"its default expiry is {there.get('defaultTtl')}, not {wanted.get('defaultTtl')}"
    policy = wanted.get("indexingPolicy", {})
    has = {_composite(each) for each in there.get("indexingPolicy", {}).get("compositeIndexes", ())}
    missing = [each for each in map(_composite, policy.get("compositeIndexes", ())) if each not in has]
    if missing:
        yield f"{len(missing)} composite indexes are missing, the first {' '.join(missing[0])}"


def _composite(paths: list[Mapping[str, str]]) -> tuple[str, ...]:
    return tuple(f"{each['path']}:{each.get('order', 'ascending')}" for each in paths)


async def examine_queues(settings: Settings, credential: "AsyncTokenCredential") -> AsyncIterator[Finding]:
    """Every queue is there, may be sent to and received from, and has sessions where it must."""
    namespace = settings.servicebus_namespace
    is_local = namespace.partition(":")[0] in LOOPBACK
    async with ServiceBusClient(namespace, credential, use_tls=not is_local, retry_total=0) as client:
        pairs = await asyncio.gather(*(_opened(client, queue, settings) for queue in QUEUE_ENTITIES))
    for pair in pairs:
        for finding in pair:
            yield finding


async def _opened(client: ServiceBusClient, queue: QueueEntity, settings: Settings) -> list[Finding]:
    name, advice = f"queue {queue.name}", f"{_DEPLOY} If it is refused: {grants(settings)['bus']}"
    session = _SESSION if queue.requires_session else None
    kind = "with sessions" if queue.requires_session else "without sessions"
    findings = []
    for tried, role in (("open a sender", SENDER), (f"open a receiver {kind}", RECEIVER)):
        try:
            with in_our_words(queue.name, role):
                async with AsyncExitStack() as links:
                    if role == SENDER:
                        await links.enter_async_context(client.get_queue_sender(queue.name))
                    else:
                        receiver = client.get_queue_receiver(queue.name, session_id=session)
                        await links.enter_async_context(receiver)
        except (DeliveryError, socket.gaierror) as error:
            findings.append(fail(name, tried, str(error), advice))
        else:
            findings.append(ok(name, tried))
    return findings
