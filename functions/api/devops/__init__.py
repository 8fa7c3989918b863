"""The DevOps surface: repositories to reconciliation, a module per resource."""
