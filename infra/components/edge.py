"""What stands before the API: Front Door, and a firewall that knows no caller but counts each address."""

from typing import Any

from pulumi_azure_native import cdn, frontdoor

from infra.components.observability import Observability
from infra.components.site import Component, Site, Text

REQUESTS_A_MINUTE = 6000
"""Per address: more than the highest tier of one caller, far less than a flood."""
HEALTH = "/health"


class Edge(Component):
    """Made before the app, which admits requests of this profile only; the way to the app is opened by
    `lead_to`."""

    def __init__(self, site: Site, observability: Observability) -> None:
        super().__init__(site, "edge")
        names = site.names
        self._premium = site.settings.edge == "Premium"
        everywhere = {**site.place, "location": "Global"}
        sku = cdn.SkuName.PREMIUM_AZURE_FRONT_DOOR if self._premium else cdn.SkuName.STANDARD_AZURE_FRONT_DOOR
        self.profile = cdn.Profile(
            "front-door",
            profile_name=names("afd"),
            sku=cdn.SkuArgs(name=sku),
            origin_response_timeout_seconds=120,
            opts=self.under(),
            **everywhere,
        )
        self.endpoint = cdn.AFDEndpoint(
            "front-door-endpoint",
            endpoint_name=names("api"),
            profile_name=self.profile.name,
            enabled_state=cdn.EnabledState.ENABLED,
            opts=self.under(),
            **everywhere,
        )
        self._firewall(everywhere, sku)
        observability.watch("front-door", self.profile.id, self)
        self.register_outputs({})

    def lead_to(self, host: Text) -> None:
        """Requests go to that host, over TLS only; none is cached."""
        group = cdn.AFDOriginGroup(
            "origins",
            origin_group_name="api",
            profile_name=self.profile.name,
            health_probe_settings=cdn.HealthProbeParametersArgs(
                probe_path=HEALTH,
                probe_protocol=cdn.ProbeProtocol.HTTPS,
                probe_request_type=cdn.HealthProbeRequestType.GET,
                probe_interval_in_seconds=240,
            ),
            load_balancing_settings=cdn.LoadBalancingSettingsParametersArgs(
                sample_size=4, successful_samples_required=2, additional_latency_in_milliseconds=50
            ),
            opts=self.under(),
            **self.site.inside,
        )
        origin = cdn.AFDOrigin(
            "origin",
            origin_name="app",
            origin_group_name=group.name,
            profile_name=self.profile.name,
            host_name=host,
            origin_host_header=host,
            https_port=443,
            priority=1,
            weight=1000,
            enforce_certificate_name_check=True,
            enabled_state=cdn.EnabledState.ENABLED,
            opts=self.under(),
            **self.site.inside,
        )
        cdn.Route(
            "route",
            route_name="api",
            endpoint_name=self.endpoint.name,
            profile_name=self.profile.name,
            origin_group=cdn.ResourceReferenceArgs(id=group.id),
            patterns_to_match=["/*"],
            supported_protocols=[cdn.AFDEndpointProtocols.HTTPS],
            forwarding_protocol=cdn.ForwardingProtocol.HTTPS_ONLY,
            https_redirect=cdn.HttpsRedirect.DISABLED,
            link_to_default_domain=cdn.LinkToDefaultDomain.ENABLED,
            enabled_state=cdn.EnabledState.ENABLED,
            # Azure accepts a route only once its group has an origin.
            opts=self.under(depends_on=[origin]),
            **self.site.inside,
        )

    def _firewall(self, everywhere: dict[str, Any], sku: cdn.SkuName) -> None:
        policy = frontdoor.Policy(
            "firewall",
            policy_name=self.site.names.compact("waf"),
            sku=frontdoor.SkuArgs(name=sku.value),
            policy_settings=frontdoor.PolicySettingsArgs(
                enabled_state=frontdoor.PolicyEnabledState.ENABLED,
                mode=frontdoor.PolicyMode.PREVENTION,
                request_body_check=frontdoor.PolicyRequestBodyCheck.ENABLED,
            ),
            custom_rules=frontdoor.CustomRuleListArgs(rules=[_flood()]),
            managed_rules=_known_attacks() if self._premium else None,
            opts=self.under(),
            **everywhere,
        )
        cdn.SecurityPolicy(
            "firewall-of-endpoint",
            security_policy_name="firewall",
            profile_name=self.profile.name,
            parameters=cdn.SecurityPolicyWebApplicationFirewallParametersArgs(
                type="WebApplicationFirewall",
                waf_policy=cdn.ResourceReferenceArgs(id=policy.id),
                associations=[
                    cdn.SecurityPolicyWebApplicationFirewallAssociationArgs(
                        domains=[cdn.ActivatedResourceReferenceArgs(id=self.endpoint.id)],
                        patterns_to_match=["/*"],
                    )
                ],
            ),
            opts=self.under(),
            **self.site.inside,
        )


def _flood() -> frontdoor.CustomRuleArgs:
    return frontdoor.CustomRuleArgs(
        name="flood",
        priority=100,
        rule_type=frontdoor.RuleType.RATE_LIMIT_RULE,
        rate_limit_duration_in_minutes=1,
        rate_limit_threshold=REQUESTS_A_MINUTE,
        group_by=[frontdoor.GroupByVariableArgs(variable_name=frontdoor.VariableName.SOCKET_ADDR)],
        match_conditions=[
            frontdoor.MatchConditionArgs(
                match_variable=frontdoor.MatchVariable.REMOTE_ADDR,
                operator=frontdoor.Operator.IP_MATCH,
                match_value=["0.0.0.0/0", "::/0"],
            )
        ],
        action=frontdoor.ActionType.BLOCK,
    )


def _known_attacks() -> frontdoor.ManagedRuleSetListArgs:
    sets = (("Microsoft_DefaultRuleSet", "2.1"), ("Microsoft_BotManagerRuleSet", "1.1"))
    return frontdoor.ManagedRuleSetListArgs(
        managed_rule_sets=[
            frontdoor.ManagedRuleSetArgs(
                rule_set_type=name,
                rule_set_version=version,
                rule_set_action=frontdoor.ManagedRuleSetActionType.BLOCK,
            )
            for name, version in sets
        ]
    )
