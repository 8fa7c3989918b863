"""One policy of every kind and level."""

from pulumi_policy import (
    EnforcementLevel,
    PolicyPack,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    StackValidationArgs,
    StackValidationPolicy,
)


def no_public_blobs(args: ResourceValidationArgs, report: ReportViolation) -> None:
    if args.resource_type.endswith(":StorageAccount") and args.props.get("allowBlobPublicAccess"):
        report("Public blobs are on.", None)


def redundant(args: ResourceValidationArgs, report: ReportViolation) -> None:
    if args.resource_type.endswith(":StorageAccount") and args.props["sku"]["name"].endswith("LRS"):
        report("One building may burn down.", None)


def rights_are_narrow(args: StackValidationArgs, report: ReportViolation) -> None:
    for resource in args.resources:
        if resource.resource_type.endswith(":RoleAssignment"):
            holders = [held.name for held in resource.property_dependencies.get("scope", [])]
            if holders != ["queue"]:
                report(f"A right reaches {holders}.", resource.urn)


PolicyPack(
    "house",
    policies=[
        ResourceValidationPolicy(
            "no-public-blobs", "Blobs are private.", no_public_blobs, EnforcementLevel.MANDATORY
        ),
        ResourceValidationPolicy("redundant", "Data is in two places.", redundant, EnforcementLevel.ADVISORY),
        StackValidationPolicy(
            "narrow-rights", "Rights are narrow.", rights_are_narrow, EnforcementLevel.MANDATORY
        ),
        ResourceValidationPolicy("sleeping", "Nobody asks.", no_public_blobs, EnforcementLevel.DISABLED),
    ],
)
