"""TLS for listeners: the master's certificate, and which clients it lets in."""

from __future__ import annotations

from pathlib import Path

from twisted.internet.ssl import (
    Certificate,
    CertificateOptions,
    PrivateCertificate,
    TLSVersion,
    trustRootFromCertificates,
)

_BEGIN = b"-----BEGIN CERTIFICATE-----"


def server_options(certificate: str, key: str, client_ca: str) -> CertificateOptions:
    """
    What TLS listeners need to let in those clients only whose certificate a given CA has signed.

    @param certificate: path of the master's certificate, PEM, its chain after it if it has one.
    @param key: path of its private key, PEM.
    @param client_ca: path of the certificates of the CAs that sign clients, PEM.
    @raise ValueError: a file cannot be read, or is not what it should be; the message says which,
        and names the option.
    """
    mine, *chain = _certificates("--tls-cert", certificate)
    pem = mine + b"\n" + _read("--tls-key", key)
    try:
        private = PrivateCertificate.loadPEM(pem)
    except Exception as error:
        raise ValueError(
            f"--tls-key {key}: that is no key of the certificate in --tls-cert {certificate}"
            f" ({error})"
        ) from error
    trusted = [Certificate.loadPEM(pem) for pem in _certificates("--tls-client-ca", client_ca)]
    return CertificateOptions(
        privateKey=private.privateKey.original,
        certificate=private.original,
        extraCertChain=[Certificate.loadPEM(pem).original for pem in chain],
        trustRoot=trustRootFromCertificates(trusted),
        raiseMinimumTo=TLSVersion.TLSv1_2,
    )


def _read(option: str, path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ValueError(f"{option} {path}: {error.strerror}") from error


def _certificates(option: str, path: str) -> list[bytes]:
    """The certificates in a PEM file, one at least. Raises ValueError, and says which file."""
    pems = [_BEGIN + part for part in _read(option, path).split(_BEGIN)[1:]]
    if not pems:
        raise ValueError(f"{option} {path}: that has no PEM certificate")
    try:
        for pem in pems:
            Certificate.loadPEM(pem)
    except Exception as error:
        raise ValueError(
            f"{option} {path}: that has a certificate that cannot be read ({error})"
        ) from error
    return pems
