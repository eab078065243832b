"""Who may use a server: an optional shared password, or the user a trusted proxy names.

Both are off by default. `EXPLORER_PASSWORD` asks every visitor for that password;
`EXPLORER_USER_HEADER` names the request header in which a reverse proxy puts the user it has
signed in (only safe where the server cannot be reached past the proxy).
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import os
import re
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache

from explorer.errors import InputError

PASSWORD_VARIABLE = "EXPLORER_PASSWORD"
HEADER_VARIABLE = "EXPLORER_USER_HEADER"
LASTS = 7 * 24 * 3600  # seconds a visitor stays known
_HEADER = re.compile(r"[A-Za-z0-9-]{1,60}")


def password(environment: Mapping[str, str] = os.environ) -> str:
    """Return the shared password; empty where none is asked for."""
    return environment.get(PASSWORD_VARIABLE, "")


def user_header(environment: Mapping[str, str] = os.environ) -> str:
    """Return the trusted header's name; empty where there is none.

    Raises:
        InputError: what is set is no header's name.
    """
    name = environment.get(HEADER_VARIABLE, "")
    if name and not _HEADER.fullmatch(name):
        raise InputError(f"{HEADER_VARIABLE} is a header's name such as X-Forwarded-User.")
    return name


def named(values: Sequence[str]) -> str:
    """Return the user whom a proxy names in the trusted header; empty unless it came just once.

    A second one was sent by the visitor. Names in UTF-8 arrive as Latin-1; signs that cannot be
    printed are left out.
    """
    if len(values) != 1:
        return ""
    name = values[0]
    with suppress(UnicodeError):
        name = name.encode("latin-1").decode("utf-8")
    return " ".join("".join(sign if sign.isprintable() else " " for sign in name).split())


def same(given: str, wanted: str) -> bool:
    """Compare two secrets in a time that does not tell how much of them agrees."""
    return hmac.compare_digest(given.encode(), wanted.encode())


def token(secret: str, now: float | None = None) -> str:
    """Return what a visitor keeps after giving the password: the time it ends, signed."""
    ends = str(int((time.time() if now is None else now) + LASTS))
    return f"{ends}.{_signature(secret, ends)}"


def valid(text: str, secret: str, now: float | None = None) -> bool:
    """Return whether a token was made with this password and has not ended."""
    ends, _, signature = text.partition(".")
    if not re.fullmatch(r"[0-9]{1,12}", ends):
        return False
    moment = time.time() if now is None else now
    return int(ends) > moment and same(signature, _signature(secret, ends))


def ticket(text: str, environment: Mapping[str, str] = os.environ) -> str:
    """Return what stands for a text in addresses of files; a password makes it unguessable."""
    secret = password(environment)
    key = _key(secret) if secret else b""
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()[:32]


def _signature(secret: str, ends: str) -> str:
    return hmac.new(_key(secret), ends.encode(), hashlib.sha256).hexdigest()


@cache
def _key(secret: str) -> bytes:
    """Return a key that is slow to guess the password from."""
    return hashlib.scrypt(secret.encode(), salt=b"second-order explorer", n=2**14, r=8, p=1)


def exposure(address: str | None, environment: Mapping[str, str] = os.environ) -> str:
    """Return the warning for a server that others reach and that can't tell them apart, or none.

    Args:
        address: what the server is bound to; None or empty for every address of the machine.
        environment: where a password or a trusted header would be set.
    """
    header = user_header(environment)
    if loopback(address) or (password(environment) and not header):
        return ""
    where = f"at {address}" if address else "at every address of this machine"
    if header:
        return (
            f"This server listens {where} and trusts the header {header}: whoever can reach it "
            "past the proxy can take any name. Make sure that only the proxy can, and that it "
            "drops the header from what visitors send."
        )
    return (
        f"This server listens {where} and has no password: whoever can reach it can read, change "
        f"and delete findings. Set {PASSWORD_VARIABLE}, or {HEADER_VARIABLE} behind a proxy that "
        "signs users in, or bind it to this machine only with --server.address localhost."
    )


def loopback(address: str | None) -> bool:
    """Return whether only the machine itself can reach an address."""
    if not address:
        return False
    if address == "localhost" or address.startswith("unix://"):
        return True
    try:
        return ipaddress.ip_address(address.strip("[]")).is_loopback
    except ValueError:
        return False
