"""A certificate for stand-ins that have to be https, and the trust in it. For loopback addresses only."""

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import aiohttp.connector
import certifi
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID


@dataclass(frozen=True, slots=True)
class Certificate:
    """`chain` and `key` are PEM files; `authorities` is what a client trusts, this certificate included."""

    chain: Path
    key: Path
    authorities: Path

    def server_context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.chain, self.key)
        return context

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs so that its Azure clients, of either kind, trust the certificate."""
        return {"SSL_CERT_FILE": str(self.authorities), "REQUESTS_CA_BUNDLE": str(self.authorities)}

    def trust_here(self) -> None:
        """In this process, for good. aiohttp made its context when it was imported, so the environment comes
        too late; and an Azure client that is given a file makes a context, and a connection, per request."""
        aiohttp.connector._SSL_CONTEXT_VERIFIED.load_verify_locations(self.authorities)


def make_certificate(folder: Path) -> Certificate:
    """Signed by itself, for 127.0.0.1 and localhost, good for a day."""
    made = Certificate(folder / "loopback.pem", folder / "loopback.key", folder / "authorities.pem")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "slipway stand-ins")])
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(IPv4Address("127.0.0.1"))])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(names, critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(_usage(), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    chain = certificate.public_bytes(serialization.Encoding.PEM)
    made.chain.write_bytes(chain)
    made.authorities.write_bytes(Path(certifi.where()).read_bytes() + chain)
    made.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return made


def _usage() -> x509.KeyUsage:
    wanted = {"digital_signature", "key_cert_sign"}
    every = (
        "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
        "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
    )  # fmt: skip
    return x509.KeyUsage(**{name: name in wanted for name in every})
