"""The rules of `resource_rules` and `stack_rules` as Pulumi asks for them. Judges nothing by itself."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from pulumi_policy import (
    Policy,
    PolicyResource,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    StackValidationArgs,
    StackValidationPolicy,
)
from pulumi_policy.proxy import UnknownValueError

from infra.policy.resource_rules import RESOURCE_RULES, ResourceRule
from infra.policy.seen import UNKNOWN, Seen
from infra.policy.stack_rules import STACK_RULES, StackRule


def _of_resource(rule: ResourceRule, args: ResourceValidationArgs, report: ReportViolation) -> None:
    for message in rule(_seen(args.resource_type, args.name, args.urn, args.props)):
        report(message, None)


def _of_stack(rule: StackRule, args: StackValidationArgs, report: ReportViolation) -> None:
    for urn, message in rule([_with_references(each) for each in args.resources]):
        report(message, urn)


def _with_references(resource: PolicyResource) -> Seen:
    references = {
        name: tuple(each.urn for each in others) for name, others in resource.property_dependencies.items()
    }
    protect = bool(resource.opts.protect)
    kind, name, urn = resource.resource_type, resource.name, resource.urn
    return _seen(kind, name, urn, resource.props, protect=protect, references=references)


def _seen(kind: str, name: str, urn: str, props: Mapping[str, Any], **more: Any) -> Seen:
    return Seen(kind.removeprefix("azure-native:"), name, urn, _plain(props), **more)


def _plain(value: Any) -> Any:
    """Pulumi raises when a value is read that a preview cannot know, and then skips the whole policy; here it
    is a value of its own, and everything beside it is still judged."""
    if isinstance(value, str | int | float | bool) or value is None:
        return value
    if isinstance(value, Mapping):
        return {key: _known(value, key) for key in value}
    return [_known(value, index) for index in range(len(value))]


def _known(container: Any, key: Any) -> Any:
    try:
        value = container[key]
    except UnknownValueError:
        return UNKNOWN
    return _plain(value)


POLICIES: tuple[Policy, ...] = (
    *(
        ResourceValidationPolicy(name, rule.__doc__ or name, partial(_of_resource, rule))
        for name, rule in RESOURCE_RULES.items()
    ),
    *(
        StackValidationPolicy(name, rule.__doc__ or name, partial(_of_stack, rule))
        for name, rule in STACK_RULES.items()
    ),
)
