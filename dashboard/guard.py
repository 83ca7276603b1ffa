"""Who may ask: the names that the app answers to, the machines they are for, the pages a post may come from, the token.

Source of the rules: the app runs programs' worth of computation for whoever reaches it. So it refuses names that do not
belong to it (DNS rebinding), this machine's own names from other machines, and posts of other sites' pages; and where
it listens to more than this machine, whoever does not have the token that was printed at its start.
"""

import re
import secrets
from collections.abc import Iterable
from ipaddress import IPv6Address, ip_address

from dash import Dash
from flask import Response, redirect, request
from werkzeug.wrappers import Response as Answer

LOCAL_NAMES = ("127.0.0.1", "localhost", "[::1]")
TOKEN = "token"  # in an address
_HOST = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^:\[\]]+)(?::\d+)?")


def is_local(host: str | None) -> bool:
    """Whether an address is this machine's alone."""
    try:
        address = ip_address(host or "")
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback


def host_name(header: str) -> str:
    """The name in a Host header, without its port; empty where there is none."""
    match = _HOST.fullmatch(header.strip())
    return match[1].lower() if match else ""


def register(app: Dash, allowed_hosts: Iterable[str] = (), token: str = "") -> None:
    """Refuse whoever may not ask. token: what has to be known; empty where only this machine can ask."""
    names = {name.lower() for name in (*LOCAL_NAMES, *allowed_hosts)}
    app.server.before_request(
        lambda: foreign_name(names) or foreign_page() or (without_token(token) if token else None)
    )


def foreign_name(names: set[str]) -> Response | None:
    """The refusal of a name that is not the app's, or is this machine's and asked for from another one."""
    name = host_name(request.headers.get("Host", ""))
    if name not in names:
        name = name or "that name"
        return refusal(
            f"gradlab does not answer to {name}. If you mean to reach it so, start it with: --allow-host {name}"
        )
    if name in LOCAL_NAMES and not is_local(request.remote_addr):
        return refusal(f"{name} is another machine's own name. Ask for gradlab by the name of the machine it runs on.")
    return None


def foreign_page() -> Response | None:
    """The refusal of a post from the page of another site; what is no browser does not say where it comes from."""
    if request.method in ("GET", "HEAD", "OPTIONS"):
        return None
    host = request.headers.get("Host", "").lower()
    same = request.headers.get("Origin", f"http://{host}").lower() in (f"http://{host}", f"https://{host}")
    site = request.headers.get("Sec-Fetch-Site", "same-origin")
    return None if same and site in ("same-origin", "none") else refusal("gradlab answers to its own pages only.")


def without_token(token: str) -> Answer | None:
    """The refusal of whoever knows no token; an address with it leads to the same one without, and a cookie."""
    cookie = f"gradlab-{request.environ['SERVER_PORT']}"  # browsers do not tell the ports of a machine apart
    if _same(request.cookies.get(cookie, ""), token):
        return None
    if not _same(request.args.get(TOKEN, ""), token):
        return refusal(f"gradlab asks for its token: open the address with ?{TOKEN}=... that it printed at its start.")
    pairs = request.query_string.decode("utf-8", "replace").split("&")
    answer = redirect("?" + "&".join(pair for pair in pairs if not pair.startswith(f"{TOKEN}=")))
    answer.set_cookie(cookie, token, httponly=True, samesite="Strict")
    return answer


def _same(given: str, token: str) -> bool:
    """Compared in constant time, which tells nobody how much of it is right."""
    return secrets.compare_digest(given.encode("utf-8", "replace"), token.encode())


def refusal(text: str) -> Response:
    """403, and why."""
    return Response(f"{text}\n", 403, mimetype="text/plain")
