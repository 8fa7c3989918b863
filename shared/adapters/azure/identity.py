"""Who this process is towards Azure: its managed identity, or the developer's sign-in. Knows no secret.

Constructing is all that happens here; the first token is asked for by the first call of a client.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential

_CLI_SECONDS = 10


def credential(client_id: str = "") -> "AsyncTokenCredential":
    """One for the process and its loop, shared by every client, and closed with `await it.close()`.

    In Azure: the user-assigned managed identity `client_id`, or the system-assigned one without it. On a
    developer's machine: whoever signed in with `az login`. Everything else of the SDK's chain is left out: it
    would take a secret from the environment, open a prompt, or start a shell that may hang.
    """
    from azure.identity.aio import DefaultAzureCredential  # noqa: PLC0415 - a third of a second to import

    return DefaultAzureCredential(
        managed_identity_client_id=client_id or None,
        exclude_environment_credential=True,
        exclude_workload_identity_credential=True,
        exclude_shared_token_cache_credential=True,
        exclude_visual_studio_code_credential=True,
        exclude_powershell_credential=True,
        exclude_developer_cli_credential=True,
        process_timeout=_CLI_SECONDS,
    )
