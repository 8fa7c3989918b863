"""The policies that every plan of the sample product has to pass."""

from pulumi_policy import (
    EnforcementLevel,
    PolicyPack,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
)


def blobs_are_private(args: ResourceValidationArgs, report: ReportViolation) -> None:
    if args.resource_type.endswith(":StorageAccount") and args.props.get("allowBlobPublicAccess"):
        report("Anybody may read these blobs; leave publicBlobs off.", None)


def everything_is_tagged(args: ResourceValidationArgs, report: ReportViolation) -> None:
    if args.resource_type.endswith((":StorageAccount", ":Namespace")) and not args.props.get("tags"):
        report("Nobody knows whose this is; tag it with its product.", None)


PolicyPack(
    "booking-saas",
    policies=[
        ResourceValidationPolicy(
            "private-blobs", "Blobs are private.", blobs_are_private, EnforcementLevel.MANDATORY
        ),
        ResourceValidationPolicy(
            "tags", "Everything says whose it is.", everything_is_tagged, EnforcementLevel.ADVISORY
        ),
    ],
)
