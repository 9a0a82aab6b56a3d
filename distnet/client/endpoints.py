"""How Twisted programs reach a master: endpoints made of addresses, TLS included."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.endpoints import (
    HostnameEndpoint,
    TCP4ClientEndpoint,
    TCP6ClientEndpoint,
    UNIXClientEndpoint,
    wrapClientTLS,
)
from twisted.internet.interfaces import IStreamClientEndpoint

from distnet.address import Address, TlsAddress, UnixAddress, parse
from distnet.errors import LocalError


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """
    TLS with certificates on both sides, as PEM files.

    @ivar ca: the authorities that may sign the master's certificate; no others may.
    @ivar cert: our certificate.
    @ivar key: its private key.
    """

    ca: str | PathLike[str]
    cert: str | PathLike[str]
    key: str | PathLike[str]


def client_endpoint(
    reactor: Any,
    address: str | Address,
    tls: TlsFiles | None = None,
    server_hostname: str | None = None,
) -> IStreamClientEndpoint:
    """
    How to reach a master with Twisted.

    @param tls: for a C{tls:} address, and only then.
    @param server_hostname: the name that the certificate must be for, if not the address's.
    Raises L{BadAddress<distnet.address.BadAddress>}, L{LocalError}, OSError if a file of C{tls}
    cannot be read.
    """
    where = parse(address) if isinstance(address, str) else address
    if isinstance(where, TlsAddress) != (tls is not None):
        raise LocalError(f"{where}: a tls: address and its certificates go together")
    if isinstance(where, UnixAddress):
        return UNIXClientEndpoint(reactor, where.path)
    # An address needs no resolver, and a resolver is a thread.
    if isIPAddress(where.host):
        endpoint: IStreamClientEndpoint = TCP4ClientEndpoint(reactor, where.host, where.port)
    elif isIPv6Address(where.host):
        endpoint = TCP6ClientEndpoint(reactor, where.host, where.port)
    else:
        endpoint = HostnameEndpoint(reactor, where.host, where.port)
    if tls is None:
        return endpoint
    # Only here: without TLS, pyOpenSSL need not be there.
    from OpenSSL.crypto import FILETYPE_PEM
    from twisted.internet.ssl import (
        Certificate,
        KeyPair,
        PrivateCertificate,
        optionsForClientTLS,
        trustRootFromCertificates,
    )

    pem = Path(tls.ca).read_bytes()
    begin = b"-----BEGIN CERTIFICATE-----"
    authorities = [Certificate.loadPEM(begin + part) for part in pem.split(begin)[1:]]
    key = KeyPair.load(Path(tls.key).read_bytes(), FILETYPE_PEM)
    ours = PrivateCertificate.load(Path(tls.cert).read_bytes(), key, FILETYPE_PEM)
    options = optionsForClientTLS(
        server_hostname or where.host, trustRootFromCertificates(authorities), ours
    )
    wrapped: IStreamClientEndpoint = wrapClientTLS(options, endpoint)
    return wrapped
