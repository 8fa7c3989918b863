"""What can be wrong with desired state."""

from shared.domain.kernel.errors import NotFound, Permanent


class BadManifest(Permanent):
    """The file in the GitOps repository is not a manifest."""

    code = "bad_manifest"


class NothingToReconcile(NotFound):
    """No release was ever promoted there."""

    code = "nothing_to_reconcile"
