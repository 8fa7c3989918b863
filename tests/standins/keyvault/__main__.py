"""`python -m tests.standins.keyvault`: prints one JSON line with its URL, and serves until told to stop."""

import argparse
import asyncio
import json
import tempfile
from pathlib import Path

from tests.standins.certificates import make_certificate
from tests.standins.hosting import until_told_to_stop
from tests.standins.identity import Issuer
from tests.standins.keyvault.server import KeyVaultStandIn


async def serve(port: int, secret_file: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="slipway-keyvault-") as folder:
        certificate = make_certificate(Path(folder))
        async with KeyVaultStandIn(Issuer.from_file(secret_file), certificate, port) as vault:
            print(json.dumps({"url": vault.url, **certificate.environment}), flush=True)  # noqa: T201
            await until_told_to_stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--identity-secret-file", type=Path, required=True)
    arguments = parser.parse_args()
    asyncio.run(serve(arguments.port, arguments.identity_secret_file))
