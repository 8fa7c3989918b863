"""The policy pack where a preview cannot know everything yet."""

from dataclasses import replace

from pulumi_policy.proxy import UNKNOWN_STRING_VALUE

from infra.recording import Recording
from tests.infra.faults import app_setting, setting
from tests.infra.pack import Pack


def test_what_a_preview_cannot_know_is_no_violation(pack: Pack, recordings: dict[str, Recording]) -> None:
    unknown = app_setting("app-all", "SLIPWAY_CLIENT_ID", UNKNOWN_STRING_VALUE)(recordings["dev"])
    for name, path in (
        ("app-storage-blob-data-contributor-blobs", "scope"),
        ("service-bus", "minimumTlsVersion"),
        ("vault", "vaultName"),
    ):
        unknown = setting(name, path, UNKNOWN_STRING_VALUE)(unknown)
    assert pack.judge(unknown) == []


def test_what_a_preview_cannot_know_hides_nothing_beside_it(
    pack: Pack, recordings: dict[str, Recording]
) -> None:
    """Pulumi skips a policy that reads an unknown value; the secret beside it would be deployed."""
    unknown = app_setting("app-all", "SLIPWAY_CLIENT_ID", UNKNOWN_STRING_VALUE)(recordings["dev"])
    both = app_setting("app-all", "SLIPWAY_UPSTREAM", "AccountKey=hunter2")(unknown)
    assert [violation.policy for violation in pack.judge(both)] == ["no-secrets-in-settings"]


def test_a_violation_says_which_resource_and_what_to_do(pack: Pack, recordings: dict[str, Recording]) -> None:
    broken = setting("storage-data", "allowBlobPublicAccess", True)(recordings["dev"])
    (violation,) = pack.judge(broken)
    assert violation.message.endswith("storage-data: set allowBlobPublicAccess to False; it is True.")


def test_an_empty_stack_lacks_only_its_budget(pack: Pack, recordings: dict[str, Recording]) -> None:
    """A pack that demands what a stack has no use for would be switched off."""
    empty = replace(recordings["dev"], resources=())
    assert [violation.policy for violation in pack.judge(empty)] == ["budget"]
