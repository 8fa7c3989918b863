"""Two storage accounts: one that the Functions host works in, and one that holds what may not be lost. The
app's identity owns the first, so nothing of value may stand there.
"""

import pulumi
from pulumi_azure_native import storage

from infra.components.observability import Observability
from infra.components.site import Component, Site
from shared.names import BLOBS

DEPLOYMENTS = "deployments"
EVIDENCE = "evidence"
RELEASES = "releases"
"""Packages that were published, to go back to."""


class Storage(Component):
    """`host` has the deployment container; `data` has blobs, evidence that nobody changes, and packages."""

    def __init__(self, site: Site, observability: Observability) -> None:
        super().__init__(site, "storage")
        self.host = self._account("host")
        self.deployments = self._container(self.host, DEPLOYMENTS)
        self.data = self._account("data")
        self.blobs = self._container(self.data, BLOBS)
        self.evidence = self._container(self.data, EVIDENCE)
        self.releases = self._container(self.data, RELEASES)
        self._write_once()
        self._age()
        for name, account in (("host", self.host), ("data", self.data)):
            # The account itself has metrics only; what is read and written is logged a level below.
            observability.watch(f"storage-{name}", account.id, self, logs=False)
            observability.watch(
                f"blobs-{name}", pulumi.Output.concat(account.id, "/blobServices/default"), self
            )
        self.register_outputs({})

    def _account(self, kind: str) -> storage.StorageAccount:
        site = self.site
        redundancy = (
            storage.SkuName.STANDARD_ZRS if site.settings.zone_redundant else storage.SkuName.STANDARD_LRS
        )
        account = storage.StorageAccount(
            f"storage-{kind}",
            account_name=site.names.compact(f"st{kind}"),
            kind=storage.Kind.STORAGE_V2,
            sku=storage.SkuArgs(name=redundancy),
            access_tier=storage.AccessTier.HOT,
            allow_blob_public_access=False,
            allow_shared_key_access=False,
            allow_cross_tenant_replication=False,
            default_to_o_auth_authentication=True,
            enable_https_traffic_only=True,
            minimum_tls_version=storage.MinimumTlsVersion.TLS1_2,
            public_network_access=site.public_access,
            network_rule_set=storage.NetworkRuleSetArgs(
                default_action=storage.DefaultAction.DENY
                if site.settings.private
                else storage.DefaultAction.ALLOW,
                bypass=storage.Bypass.AZURE_SERVICES,
            ),
            opts=self.kept(),
            **site.place,
        )
        days = storage.DeleteRetentionPolicyArgs(enabled=True, days=30)
        storage.BlobServiceProperties(
            f"blob-service-{kind}",
            account_name=account.name,
            blob_services_name="default",
            delete_retention_policy=days,
            container_delete_retention_policy=days,
            opts=self.under(),
            **site.inside,
        )
        return account

    def _container(self, account: storage.StorageAccount, name: str) -> storage.BlobContainer:
        return storage.BlobContainer(
            f"container-{name}",
            account_name=account.name,
            container_name=name,
            public_access=storage.PublicAccess.NONE,
            opts=self.kept(),
            **self.site.inside,
        )

    def _write_once(self) -> None:
        """What is written stays as it is for that long, and may only grow. To lock the policy for ever is an
        operator's own decision; until then its destruction fails on an etag, so the program leaves it."""
        storage.BlobContainerImmutabilityPolicy(
            "evidence-write-once",
            account_name=self.data.name,
            container_name=self.evidence.name,
            immutability_policy_name="default",
            immutability_period_since_creation_in_days=self.site.settings.evidence_days,
            allow_protected_append_writes_all=True,
            opts=self.kept(retain_on_delete=True),
            **self.site.inside,
        )

    def _age(self) -> None:
        """Old blobs move where they cost less. None is deleted: releases refer to bundles by digest for ever.
        The host's account has no rule at all, for its package is read again at every cold start."""
        storage.ManagementPolicy(
            "lifecycle",
            account_name=self.data.name,
            management_policy_name="default",
            policy=storage.ManagementPolicySchemaArgs(
                rules=[
                    storage.ManagementPolicyRuleArgs(
                        name="cool-then-cold",
                        type=storage.RuleType.LIFECYCLE,
                        enabled=True,
                        definition=storage.ManagementPolicyDefinitionArgs(
                            filters=storage.ManagementPolicyFilterArgs(
                                blob_types=["blockBlob"], prefix_match=[f"{BLOBS}/", f"{EVIDENCE}/"]
                            ),
                            actions=storage.ManagementPolicyActionArgs(
                                base_blob=storage.ManagementPolicyBaseBlobArgs(
                                    tier_to_cool=_after(30), tier_to_cold=_after(180)
                                )
                            ),
                        ),
                    )
                ]
            ),
            opts=self.under(depends_on=[self.blobs, self.evidence]),
            **self.site.inside,
        )


def _after(days: int) -> storage.DateAfterModificationArgs:
    return storage.DateAfterModificationArgs(days_after_modification_greater_than=days)
