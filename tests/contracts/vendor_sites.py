"""The vendors under the contracts of workflows, webhooks and pull requests: another one is a line here."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from tests.contracts.azure_devops_vendor import azure_devops_bench
from tests.contracts.github_vendor import github_bench
from tests.contracts.vendor_bench import VendorBench

VENDORS: dict[str, Callable[[Path], AbstractAsyncContextManager[VendorBench]]] = {
    "github": github_bench,
    "azure_devops": azure_devops_bench,
}
