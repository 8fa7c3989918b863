"""Events of pipelines, runs, builds and container images."""

from shared.domain.catalogue.declare import (
    COUNT,
    DIGEST,
    FLAG,
    NAME,
    SHA,
    TEXT,
    TIME,
    EventType,
    Kind,
    Schema,
    id_of,
    many,
    one_of,
    or_null,
    shape,
)
from shared.domain.pipelines.model import BuildStatus, ModuleType, RunStatus
from shared.domain.source.model import Provider

_RUN: dict[str, Schema] = {
    "pipelineRunId": id_of("run"),
    "pipelineId": id_of("pipe"),
    "repositoryId": id_of("repo"),
    "branch": NAME,
    "commitSha": SHA,
    "buildNumber": NAME,
    "reason": TEXT,
}
_WHICH: dict[str, Schema] = {"pipelineRunId": id_of("run"), "repositoryId": id_of("repo")}
_FOR = {"pullRequestId": or_null(id_of("pr"))}
_ORDER: dict[str, Schema] = {
    **_RUN,
    **_FOR,
    "projectId": NAME,
    "moduleId": NAME,
    "requestedBy": NAME,
    "createdAt": TIME,
    "deadlineAt": TIME,
}
_BUILD: dict[str, Schema] = {
    "buildResultId": id_of("build"),
    "pipelineRunId": id_of("run"),
    "moduleId": NAME,
    "status": one_of(BuildStatus),
    "tests": or_null(shape(total=COUNT, passed=COUNT, failed=COUNT, skipped=COUNT)),
    "artifacts": many(shape(name=NAME, kind=NAME, ref=NAME, digest=DIGEST, size=COUNT)),
    "logsUri": TEXT,
}
_IMAGE: dict[str, Schema] = {
    "containerImageId": id_of("img"),
    "buildResultId": id_of("build"),
    "registry": TEXT,
    "repository": NAME,
    "tag": TEXT,
    "digest": or_null(TEXT),
    "status": NAME,
    "findings": or_null({"type": "object"}),
    "reason": or_null(TEXT),
}

PIPELINES = (
    EventType(
        "PipelineGenerated",
        "A pipeline's definition was written, first or anew.",
        {
            "pipelineId": id_of("pipe"),
            "repositoryId": id_of("repo"),
            "definitionPath": NAME,
            "moduleType": one_of(ModuleType),
            "contentHash": DIGEST,
            "version": COUNT,
            "committed": FLAG,
        },
        {"provider": one_of(Provider), "templateVersion": COUNT, "targetFeed": or_null(NAME)},
    ),
    EventType("RunPipeline", "Carry the run to its end.", _ORDER, kind=Kind.COMMAND),
    EventType("RunPipelineAgain", "Take it up where nobody has finished it.", _ORDER, kind=Kind.COMMAND),
    EventType("RunOverdue", "Give it up if nobody has finished it by now.", _ORDER, kind=Kind.COMMAND),
    EventType(
        "FollowRun",
        "Look at the vendor what has become of the run.",
        {**_WHICH, "turn": COUNT},
        kind=Kind.COMMAND,
    ),
    EventType(
        "CancelHostRun",
        "Have the vendor stop a run that is over here.",
        {
            **_WHICH,
            "hostRun": {**or_null(NAME), "description": "Null where it may have begun one that nobody saw."},
            "turn": COUNT,
        },
        kind=Kind.COMMAND,
    ),
    EventType("PipelineRunStarted", "A run was accepted and has its number.", _RUN),
    EventType(
        "PipelineRunCompleted",
        "A run is over, however it ended.",
        {
            **_RUN,
            **_FOR,
            "status": one_of(RunStatus),
            "outcomeReason": TEXT,
            "buildResultId": id_of("build"),
        },
    ),
    EventType("BuildCompleted", "What a run produced is written down.", _BUILD),
    EventType("BuildFailed", "The same, for those who only wait for failures.", _BUILD),
    EventType("PushContainerImage", "Bring the image to its registry.", _IMAGE, kind=Kind.COMMAND),
    EventType("PushContainerImageAgain", "Take it up once more.", _IMAGE, kind=Kind.COMMAND),
    EventType("ContainerImagePushed", "An image is in its registry.", _IMAGE),
    EventType("ContainerImageFailed", "An image did not get there.", _IMAGE),
    EventType("ContainerImageScanned", "An image was looked through.", _IMAGE),
    EventType("ContainerImageQuarantined", "An image may not be deployed.", _IMAGE),
    EventType(
        "ContainerImageReleased",
        "Somebody lets a quarantined image be deployed.",
        {**_IMAGE, "releasedBy": NAME, "releaseReason": TEXT},
    ),
)
