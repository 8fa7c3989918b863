"""Where logs and measurements go, and who is told when something is wrong. Knows nothing it watches."""

import pulumi
from pulumi_azure_native import applicationinsights, monitor, operationalinsights

from infra.components.site import Component, Site, Text


class Observability(Component):
    """A workspace, Application Insights in it, and the people to call. `people` is empty where none are."""

    def __init__(self, site: Site) -> None:
        super().__init__(site, "observability")
        settings, names = site.settings, site.names
        self.workspace = operationalinsights.Workspace(
            "workspace",
            workspace_name=names("log"),
            sku=operationalinsights.WorkspaceSkuArgs(
                name=operationalinsights.WorkspaceSkuNameEnum.PER_GB2018
            ),
            retention_in_days=settings.log_days,
            workspace_capping=operationalinsights.WorkspaceCappingArgs(
                daily_quota_gb=settings.log_gb_per_day
            ),
            features=operationalinsights.WorkspaceFeaturesArgs(
                disable_local_auth=True, enable_log_access_using_only_resource_permissions=True
            ),
            opts=self.under(),
            **site.place,
        )
        self.insights = applicationinsights.Component(
            "insights",
            resource_name_=names("appi"),
            kind="web",
            application_type=applicationinsights.ApplicationType.WEB,
            ingestion_mode=applicationinsights.IngestionMode.LOG_ANALYTICS,
            workspace_resource_id=self.workspace.id,
            disable_local_auth=True,
            opts=self.under(),
            **site.place,
        )
        self.people = self._people()
        self.watch("workspace", self.workspace.id, self)
        self.register_outputs({})

    def _people(self) -> list[Text]:
        emails = self.site.settings.alert_emails
        if not emails:
            return []
        group = monitor.ActionGroup(
            "on-call",
            action_group_name=self.site.names("ag"),
            group_short_name="slipway",
            enabled=True,
            email_receivers=[
                monitor.MicrosoftCommonEmailReceiverArgs(
                    name=f"email-{number}", email_address=email, use_common_alert_schema=True
                )
                for number, email in enumerate(emails, 1)
            ],
            opts=self.under(),
            **{**self.site.place, "location": "global"},
        )
        return [group.id]

    def watch(self, name: str, uri: Text, parent: pulumi.Resource, *, logs: bool = True) -> None:
        """Send what a resource logs and measures to the workspace. `logs` is False where it logs nothing."""
        monitor.DiagnosticSetting(
            f"{name}-diagnostics",
            name="slipway",
            resource_uri=uri,
            workspace_id=self.workspace.id,
            logs=[monitor.DiagnosticsLogSettingsArgs(category_group="allLogs", enabled=True)]
            if logs
            else None,
            metrics=[monitor.DiagnosticsMetricSettingsArgs(category="AllMetrics", enabled=True)],
            opts=pulumi.ResourceOptions(parent=parent),
        )
