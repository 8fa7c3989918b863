"""The rules of pipelines and runs, each with the kind that says how it is answered."""

from shared.domain.kernel.errors import Conflict, Invalid, RuleBroken


class RunLimitReached(RuleBroken):
    """A repository has as many active runs as it may have. `limit` says how many."""

    code = "run_limit_reached"


class PipelineSuperseded(RuleBroken):
    """Another module's pipeline took over the definition file."""

    code = "pipeline_superseded"


class InvalidDefinition(Invalid):
    """A pipeline definition cannot be run. Carries every problem, so that its author mends all in one go."""

    code = "invalid_definition"


class DefinitionOccupied(Conflict):
    """The definition's path holds a file that Slipway did not write."""

    code = "definition_occupied"


class RunActive(Conflict):
    """It is not over yet, so it cannot be done again."""

    code = "run_active"


class RunOfPullRequest(RuleBroken):
    """It checks a pull request, where it is asked for again."""

    code = "run_of_pull_request"
