"""Infrastructure plans on embedded adapters with made-up programs, and short ways to ask for them."""

from dataclasses import dataclass

from shared.domain.approvals.model import Decision
from shared.domain.infrastructure.lifecycle import PlanDraft, StackDraft
from shared.domain.infrastructure.model import Engine, InfrastructurePlan, Stack, stack_id
from shared.domain.kernel.actor import Actor, ActorKind, system_actor
from shared.names import INFRASTRUCTURE
from tests.support.api import Api
from tests.support.app import SteppingClock
from tests.support.infrastructure import PROGRAM, MadeUpProvisioner

PAULA = Actor("user:paula", ActorKind.HUMAN, "acme")
BUILDER = Actor("agent:Builder", ActorKind.AGENT, "acme", on_behalf_of="user:paula")
BOB = Actor("user:bob", ActorKind.HUMAN, "acme")
MANAGER = Actor("agent:Manager", ActorKind.AGENT, "acme")
WORKER = system_actor("acme", INFRASTRUCTURE)


@dataclass
class Site:
    api: Api
    clock: SteppingClock
    engine: MadeUpProvisioner

    async def provision(
        self, environment: str = "dev", things: str = "queue=1,site=1", name: str = "", **config: str
    ) -> InfrastructurePlan:
        place = StackDraft(
            project="proj-x",
            environment=environment,
            engine=Engine.PULUMI,
            program=PROGRAM,
            name=name or environment,
        )
        draft = PlanDraft(config={"things": things, **config})
        return await self.api.app.infrastructure_plans.provision(PAULA, place, draft, None)

    async def provisioned(
        self, environment: str = "dev", things: str = "queue=1,site=1"
    ) -> InfrastructurePlan:
        plan = await self.provision(environment, things)
        await self.api.drain()
        return await self.plan(plan)

    async def plan(self, plan: InfrastructurePlan) -> InfrastructurePlan:
        return await self.api.app.infrastructure_plans.get(PAULA, plan.id)

    async def stack(self, name: str = "dev") -> Stack:
        return (await self.api.app.stacks.get(PAULA, stack_id("acme", PROGRAM, name))).stack

    async def decide(
        self, plan: InfrastructurePlan, by: Actor = BOB, decision: Decision = Decision.APPROVED
    ) -> InfrastructurePlan:
        return await self.api.app.infrastructure_plans.decide(
            by, plan.id, decision, comment="seen", digest=plan.digest, once=None
        )

    async def cancel(self, plan: InfrastructurePlan) -> InfrastructurePlan:
        return await self.api.app.infrastructure_plans.cancel(BOB, plan.id, "no", None)

    async def log(self, plan: InfrastructurePlan) -> str:
        page = await self.api.app.infrastructure_plans.log(
            PAULA, plan.id, offset=0, limit=100, follow=False, wait=0
        )
        return "\n".join(line.text for line in page.lines)

    async def events(self, event_type: str) -> list[dict[str, object]]:
        documents = (await self.api.app.feed.read("", 5000)).documents
        bodies = [each.body for each in documents if each.kind == "outbox"]
        return [body["payload"] for body in bodies if body["eventType"] == event_type]

    async def deliver_again(self, event_type: str) -> None:
        for payload in await self.events(event_type):
            await self.api.app.provisioning.work(WORKER, payload)
