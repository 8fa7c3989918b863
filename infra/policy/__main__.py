"""Entry point of the policy pack. Serves until it is stopped: nothing may follow the constructor."""

import sys
from pathlib import Path

from pulumi_policy import EnforcementLevel, PolicyPack

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

# Pulumi starts this folder as a script, with no package around it.
from infra.policy.policies import POLICIES

PolicyPack(name="slipway", policies=list(POLICIES), enforcement_level=EnforcementLevel.MANDATORY)
