"""The devops surface: repositories to reconciliation, in the dialect of the DevOps platform contract."""

from functions.http.dialects import DEVOPS
from functions.http.surface import Surface

devops = Surface("devops", title="DevOps and GitOps", dialect=DEVOPS)
