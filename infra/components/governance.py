"""What the stack may cost, and who hears when it costs more."""

from pulumi_azure_native import consumption

from infra.components.site import Component, Site


class Governance(Component):
    """A monthly budget. It stops nothing; it tells the owners, and the people who are called for alerts."""

    def __init__(self, site: Site) -> None:
        super().__init__(site, "governance")
        settings = site.settings
        spent = (("most", "Actual", 80), ("all", "Actual", 100), ("foreseen", "Forecasted", 110))
        consumption.Budget(
            "budget",
            budget_name=site.names("budget"),
            scope=site.group_id,
            category=consumption.CategoryType.COST,
            amount=settings.budget,
            time_grain=consumption.TimeGrainType.MONTHLY,
            time_period=consumption.BudgetTimePeriodArgs(start_date=f"{settings.budget_from}T00:00:00Z"),
            notifications={
                name: consumption.NotificationArgs(
                    enabled=True,
                    operator=consumption.OperatorType.GREATER_THAN,
                    threshold=percent,
                    threshold_type=kind,
                    contact_roles=["Owner"],
                    contact_emails=list(settings.alert_emails),
                )
                for name, kind, percent in spent
            },
            opts=self.under(),
        )
        self.register_outputs({})
