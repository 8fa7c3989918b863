"""When people are told: only of what they can act on. Without anybody to tell, the alerts still show in the
portal.
"""

from collections.abc import Iterable, Sequence

import pulumi
from pulumi_azure_native import applicationinsights, monitor

from infra.app_settings import JOB_QUEUES
from infra.components.edge import HEALTH
from infra.components.messaging import Messaging
from infra.components.observability import Observability
from infra.components.site import Component, Site, Text
from shared.names import QUEUES, ROTATION, parked

PLACES = ("emea-nl-ams-azr", "emea-gb-db3-azr", "emea-se-sto-edge")
"""Where the availability test asks from."""
FAILED_PERCENT = 5
_BUS = "Microsoft.ServiceBus/namespaces"
_FAILURES = """
requests
| where operation_Name !in ("health", "ready")
| summarize total = count(), failed = countif(toint(resultCode) >= 500)
| where total >= 20
| project failed_percent = 100.0 * failed / total
"""


class Alerts(Component):
    """Dead letters, parked messages, work that stands still, secrets that expire, failing
    requests, an API out of reach."""

    def __init__(
        self, site: Site, observability: Observability, messaging: Messaging, public_url: Text
    ) -> None:
        super().__init__(site, "alerts")
        self._people, self._insights, self._bus = (
            observability.people,
            observability.insights,
            messaging.namespace,
        )
        self._of_queues(
            "dead-letters", "Messages were given up", messaging.queues, [_above_zero("DeadletteredMessages")]
        )
        self._of_queues(
            "parked", "A worker put messages aside", map(parked, QUEUES), [_above_zero("ActiveMessages")]
        )
        # Service Bus does not publish the age of the oldest message. A queue that is never empty and
        # completes nothing says the same, and says it when no worker is alive to measure anything. One
        # alert each: with two conditions, Azure takes one value of a dimension.
        for queue in QUEUES:
            # A run may take an hour, and is a message of its queue for as long.
            window = "PT6H" if queue in JOB_QUEUES else "PT15M"
            self._of_queues(
                f"{queue}-stands-still", "Messages wait, none is done", (queue,), _STANDSTILL, window
            )
        self._of_queues(
            # Its worker takes the news within seconds, so what counts is that there were some.
            "secrets-expire",
            "A secret is about to expire, or has: a worker's log names it",
            (ROTATION,),
            [("there-were-some", "IncomingMessages", "Total", "GreaterThan", 0)],
        )
        self._failures()
        if site.settings.availability:
            self._availability(public_url)
        self.register_outputs({})

    def _of_queues(
        self,
        name: str,
        description: str,
        queues: Iterable[str],
        measures: Sequence[tuple[str, str, str, str, float]],
        window: str = "PT15M",
    ) -> None:
        by_queue = monitor.MetricDimensionArgs(name="EntityName", operator="Include", values=list(queues))
        monitor.MetricAlert(
            f"alert-{name}",
            rule_name=self.site.names(name),
            description=description,
            severity=2,
            enabled=True,
            auto_mitigate=True,
            scopes=[self._bus.id],
            evaluation_frequency="PT5M",
            window_size=window,
            criteria=monitor.MetricAlertSingleResourceMultipleMetricCriteriaArgs(
                odata_type="Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria",
                all_of=[
                    monitor.MetricCriteriaArgs(
                        criterion_type="StaticThresholdCriterion",
                        name=criterion,
                        metric_namespace=_BUS,
                        metric_name=metric,
                        time_aggregation=aggregation,
                        operator=operator,
                        threshold=threshold,
                        dimensions=[by_queue],
                    )
                    for criterion, metric, aggregation, operator, threshold in measures
                ],
            ),
            actions=[monitor.MetricAlertActionArgs(action_group_id=group) for group in self._people],
            opts=self.under(),
            **{**self.site.place, "location": "global"},
        )

    def _failures(self) -> None:
        monitor.ScheduledQueryRule(
            "alert-failures",
            rule_name=self.site.names("failures"),
            kind="LogAlert",
            display_name="Requests fail",
            description=f"More than {FAILED_PERCENT} % of the requests of 15 minutes answered 5xx",
            severity=1,
            enabled=True,
            auto_mitigate=True,
            scopes=[self._insights.id],
            evaluation_frequency="PT5M",
            window_size="PT15M",
            criteria=monitor.ScheduledQueryRuleCriteriaArgs(
                all_of=[
                    monitor.ConditionArgs(
                        query=_FAILURES.strip(),
                        metric_measure_column="failed_percent",
                        time_aggregation=monitor.TimeAggregation.MAXIMUM,
                        operator=monitor.ConditionOperator.GREATER_THAN,
                        threshold=FAILED_PERCENT,
                        failing_periods=monitor.ConditionFailingPeriodsArgs(
                            number_of_evaluation_periods=1, min_failing_periods_to_alert=1
                        ),
                    )
                ]
            ),
            actions=monitor.ActionsArgs(action_groups=list(self._people)),
            opts=self.under(),
            **self.site.place,
        )

    def _availability(self, public_url: Text) -> None:
        test = applicationinsights.WebTest(
            "availability-test",
            web_test_name=self.site.names("availability"),
            synthetic_monitor_id=self.site.names("availability"),
            web_test_kind=applicationinsights.WebTestKind.STANDARD,
            enabled=True,
            frequency=300,
            timeout=30,
            retry_enabled=True,
            locations=[applicationinsights.WebTestGeolocationArgs(location=place) for place in PLACES],
            request=applicationinsights.WebTestPropertiesRequestArgs(
                http_verb="GET", request_url=public_url.apply(lambda url: f"{url}{HEALTH}")
            ),
            validation_rules=applicationinsights.WebTestPropertiesValidationRulesArgs(
                expected_http_status_code=200, s_sl_check=True, s_sl_cert_remaining_lifetime_check=14
            ),
            opts=self.under(),
            **{**self.site.place, "tags": _linked(self.site, self._insights.id)},
        )
        monitor.MetricAlert(
            "alert-availability",
            rule_name=self.site.names("unreachable"),
            description="The API cannot be reached from two places",
            severity=0,
            enabled=True,
            auto_mitigate=True,
            scopes=[test.id, self._insights.id],
            evaluation_frequency="PT1M",
            window_size="PT5M",
            criteria=monitor.WebtestLocationAvailabilityCriteriaArgs(
                odata_type="Microsoft.Azure.Monitor.WebtestLocationAvailabilityCriteria",
                web_test_id=test.id,
                component_id=self._insights.id,
                failed_location_count=2,
            ),
            actions=[monitor.MetricAlertActionArgs(action_group_id=group) for group in self._people],
            opts=self.under(),
            **{**self.site.place, "location": "global"},
        )


def _above_zero(metric: str) -> tuple[str, str, str, str, float]:
    return ("there-are-some", metric, "Average", "GreaterThan", 0)


_STANDSTILL = (
    ("never-empty", "ActiveMessages", "Minimum", "GreaterThan", 0),
    ("none-done", "CompleteMessage", "Total", "LessThan", 1),
)


def _linked(site: Site, insights: Text) -> pulumi.Output[dict[str, str]]:
    """Application Insights finds its tests by a tag whose name is its own id."""
    return insights.apply(lambda uri: {**site.tags, f"hidden-link:{uri}": "Resource"})
