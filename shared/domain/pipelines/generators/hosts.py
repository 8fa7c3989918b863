"""Which generator writes for which host, and what it would be asked to write that it may not."""

from collections.abc import Callable, Mapping

from shared.domain.kernel.errors import Problem
from shared.domain.pipelines.generators.azure import azure_pipeline
from shared.domain.pipelines.generators.github import github_workflow
from shared.domain.pipelines.generators.inputs import Inputs, problems_of
from shared.domain.source.model import Provider

GENERATORS: Mapping[Provider, Callable[[Inputs], bytes]] = {
    Provider.GITHUB: github_workflow,
    Provider.AZURE_DEVOPS: azure_pipeline,
}
"""Slipway's own definition, for the embedded host, is data: the Definitions port writes it."""


def generate(provider: Provider, inputs: Inputs) -> tuple[bytes, tuple[Problem, ...]]:
    """The text for a host of that provider, and what of its inputs the host would not take."""
    return GENERATORS[provider](inputs), problems_of(inputs)
