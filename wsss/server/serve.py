"""Serve an application at an address of this machine until the process is interrupted."""

from __future__ import annotations

import errno
import ipaddress
import socket
from typing import TYPE_CHECKING, Any

import uvicorn

from wsss.errors import InvalidInput

if TYPE_CHECKING:
    from starlette.types import ASGIApp

LOOPBACK = "127.0.0.1"


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens at an address.

    Args:
        host: an IP address of this machine.
        port: 0 for any free port.

    Raises:
        InvalidInput: not an IP address, all addresses at once (``0.0.0.0``), or the address is not available.
    """
    subject = f"--host {host}"
    try:
        address = ipaddress.ip_address(host)
    except ValueError as error:
        raise InvalidInput("not an IP address", subject=subject, hint=f"The default is {LOOPBACK}.") from error
    if address.is_unspecified:
        hint = "Pass the address of one network interface; requests to other hosts are refused."
        raise InvalidInput("the wildcard address is not allowed", subject=subject, hint=hint)
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
        bound.listen(128)  # from now on, connections wait for the server
    except OSError as error:
        bound.close()
        raise InvalidInput(
            f"not available ({error.strerror})",
            subject=f"{host}:{port}",
            hint="Choose an address of this machine (--host)."
            if error.errno == errno.EADDRNOTAVAIL
            else "Choose another --port, or 0 for any.",
        ) from error
    return bound


def is_local(host: str) -> bool:
    """Return whether an IP address can be reached from this machine only."""
    return ipaddress.ip_address(host).is_loopback


def addresses(bound: socket.socket) -> tuple[str, list[str]]:
    """Return the origin of a bound socket for a browser, and the accepted hosts."""
    host, port = bound.getsockname()[:2]
    literal = f"[{host}]" if ":" in host else host
    hosts = [literal, host, *(["localhost"] if is_local(host) else [])]
    return f"http://{literal}:{port}", list(dict.fromkeys(hosts))


def serve(app: ASGIApp, bound: socket.socket) -> None:
    """Serve an application until SIGINT or SIGTERM.

    Args:
        bound: see `listen`.
    """
    settings: dict[str, Any] = {"log_level": "warning", "access_log": False, "server_header": False, "ws": "none"}
    config = uvicorn.Config(app, lifespan="off", http="h11", timeout_graceful_shutdown=1, **settings)
    uvicorn.Server(config).run(sockets=[bound])
