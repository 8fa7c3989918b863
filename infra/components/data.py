"""The document store: a Cosmos DB account, its database, and the containers that the adapter describes."""

import pulumi
from pulumi_azure_native import cosmosdb

from infra.components.observability import Observability
from infra.components.site import Component, Site, Text
from shared.adapters.azure.cosmos_indexing import Definition, containers
from shared.names import DATABASE, INDEXES


class Data(Component):
    """Serverless where nothing is paid for while nobody asks, autoscaled where the load is known."""

    def __init__(self, site: Site, observability: Observability) -> None:
        super().__init__(site, "data")
        self.account = self._account()
        self.database = cosmosdb.SqlResourceSqlDatabase(
            "database",
            account_name=self.account.name,
            database_name=DATABASE,
            resource=cosmosdb.SqlDatabaseResourceArgs(id=DATABASE),
            options=self._options(),
            opts=self.kept(),
            **site.inside,
        )
        self.containers = [self._container(definition) for definition in containers(INDEXES)]
        self.endpoint: Text = self.account.document_endpoint
        self.scope = pulumi.Output.concat(self.account.id, "/dbs/", DATABASE)
        observability.watch("cosmos", self.account.id, self)
        self.register_outputs({})

    def _account(self) -> cosmosdb.DatabaseAccount:
        site = self.site
        serverless = site.settings.cosmos == "serverless"
        # Seven days of undoing cost nothing; thirty are for what people depend on.
        undo = (
            cosmosdb.ContinuousTier.CONTINUOUS7_DAYS
            if serverless
            else cosmosdb.ContinuousTier.CONTINUOUS30_DAYS
        )
        return cosmosdb.DatabaseAccount(
            "cosmos",
            account_name=site.names("cosmos"),
            kind=cosmosdb.DatabaseAccountKind.GLOBAL_DOCUMENT_DB,
            database_account_offer_type=cosmosdb.DatabaseAccountOfferType.STANDARD,
            locations=[
                cosmosdb.LocationArgs(
                    location_name=site.location,
                    failover_priority=0,
                    is_zone_redundant=site.settings.zone_redundant,
                )
            ],
            capabilities=[cosmosdb.CapabilityArgs(name="EnableServerless")] if serverless else None,
            consistency_policy=cosmosdb.ConsistencyPolicyArgs(
                default_consistency_level=cosmosdb.DefaultConsistencyLevel.STRONG
            ),
            backup_policy=cosmosdb.ContinuousModeBackupPolicyArgs(
                type="Continuous",
                continuous_mode_properties=cosmosdb.ContinuousModePropertiesArgs(tier=undo),
            ),
            disable_local_auth=True,
            disable_key_based_metadata_write_access=True,
            minimal_tls_version=cosmosdb.MinimalTlsVersion.TLS12,
            public_network_access=site.public_access,
            opts=self.kept(),
            **site.place,
        )

    def _options(self) -> cosmosdb.CreateUpdateOptionsArgs | None:
        settings = self.site.settings
        if settings.cosmos == "serverless":
            return None
        most = cosmosdb.AutoscaleSettingsArgs(max_throughput=settings.cosmos_throughput)
        return cosmosdb.CreateUpdateOptionsArgs(autoscale_settings=most)

    def _container(self, definition: Definition) -> cosmosdb.SqlResourceSqlContainer:
        name, key = definition["id"], definition["partitionKey"]
        policy = definition.get("indexingPolicy")
        return cosmosdb.SqlResourceSqlContainer(
            f"container-{name}",
            account_name=self.account.name,
            database_name=self.database.name,
            container_name=name,
            resource=cosmosdb.SqlContainerResourceArgs(
                id=name,
                partition_key=cosmosdb.ContainerPartitionKeyArgs(
                    paths=key["paths"], kind=key["kind"], version=key["version"]
                ),
                indexing_policy=_policy(policy) if policy else None,
                default_ttl=definition.get("defaultTtl"),
            ),
            opts=self.kept(),
            **self.site.inside,
        )


def _policy(policy: Definition) -> cosmosdb.IndexingPolicyArgs:
    """The service's own JSON as arguments: a part that is misspelled is a TypeError here, and not ignored."""
    return cosmosdb.IndexingPolicyArgs(
        automatic=policy["automatic"],
        indexing_mode=policy["indexingMode"],
        included_paths=[cosmosdb.IncludedPathArgs(path=each["path"]) for each in policy["includedPaths"]],
        excluded_paths=[cosmosdb.ExcludedPathArgs(path=each["path"]) for each in policy["excludedPaths"]],
        composite_indexes=[
            [cosmosdb.CompositePathArgs(path=each["path"], order=each["order"]) for each in index]
            for index in policy["compositeIndexes"]
        ],
    )
