"""Work that may take longer than a function lives: a container for each message of its queue."""

from collections.abc import Mapping, Sequence

import pulumi
from pulumi_azure_native import app

from infra.app_settings import Setting
from infra.components.containers import Containers, references, registries, variables
from infra.components.site import Component, Site, Text

LONGEST_SECONDS = 3900
"""An hour's run, and what it takes to record how it ended."""
MOST_AT_ONCE = 20


class QueueJobs(Component):
    """One event-driven job per queue. It starts at nought, and ends there."""

    def __init__(
        self,
        site: Site,
        containers: Containers,
        queues: Sequence[str],
        *,
        namespace: Text,
        identity_id: Text,
        environment: Mapping[str, Setting],
        secrets: Mapping[str, Setting],
        after: Sequence[pulumi.Resource],
    ) -> None:
        super().__init__(site, "jobs")
        for queue in queues:
            app.Job(
                f"job-{queue}",
                # Azure takes 32 characters in all, and a queue's first five tell it from the others.
                job_name=site.names(f"job-{queue[:5]}"),
                environment_id=containers.environment.id,
                workload_profile_name="Consumption",
                identity=app.ManagedServiceIdentityArgs(
                    type=app.ManagedServiceIdentityType.USER_ASSIGNED, user_assigned_identities=[identity_id]
                ),
                configuration=app.JobConfigurationArgs(
                    trigger_type=app.TriggerType.EVENT,
                    replica_timeout=LONGEST_SECONDS,
                    # The bus gives a message again; a second container for the same one would be in its way.
                    replica_retry_limit=0,
                    registries=registries(site, identity_id),
                    secrets=references(secrets, identity_id),
                    event_trigger_config=_trigger(queue, namespace, identity_id),
                ),
                template=app.JobTemplateArgs(
                    containers=[
                        app.ContainerArgs(
                            name="work",
                            image=site.settings.jobs_image,
                            command=["python", "-m", "functions.workers.job"],
                            args=[queue],
                            resources=app.ContainerResourcesArgs(cpu=2, memory="4Gi"),
                            env=variables({**environment, "SLIPWAY_JOB_QUEUES": queue}, secrets),
                        )
                    ]
                ),
                opts=self.under(depends_on=list(after)),
                **site.place,
            )
        self.register_outputs({})


def _trigger(queue: str, namespace: Text, identity_id: Text) -> app.JobConfigurationEventTriggerConfigArgs:
    return app.JobConfigurationEventTriggerConfigArgs(
        parallelism=1,
        replica_completion_count=1,
        scale=app.JobScaleArgs(
            min_executions=0,
            max_executions=MOST_AT_ONCE,
            polling_interval=30,
            rules=[
                app.JobScaleRuleArgs(
                    name=queue,
                    type="azure-servicebus",
                    identity=identity_id,
                    metadata={"queueName": queue, "namespace": namespace, "messageCount": "1"},
                )
            ],
        ),
    )
