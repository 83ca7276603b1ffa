"""The HTTP side: what an answer may load, where the server listens, and when a browser opens."""

import errno
import getpass
import os
import socket
import sys
import webbrowser
from collections.abc import Iterable, Mapping

from dash import Dash
from flask import Response

from . import guard

DEFAULT_PORT = 8050
PORTS_TRIED = 50
UPLOAD_LIMIT = 16 * 1000**2  # bytes of a file
EVERYWHERE = (
    "Warning: other machines reach it too, and nothing is encrypted. Whoever has this address with its token can use "
    "it; under another name than the one in it, only with --allow-host NAME."
)
REQUEST_LIMIT = UPLOAD_LIMIT * 4 // 3 + 1000**2  # a file arrives as base64, with the state of the page around it


def protect(app: Dash, allowed_hosts: Iterable[str] = (), token: str = "") -> None:
    """Refuse whoever may not ask, and oversized requests; send the security headers.

    Call it last: the policy holds the hashes of every inline script that the app has by then.
    """
    headers = security_headers(app.csp_hashes())

    def add_headers(response: Response) -> Response:
        response.headers.update(headers)
        return response

    app.server.config["MAX_CONTENT_LENGTH"] = REQUEST_LIMIT
    guard.register(app, allowed_hosts, token)
    app.server.after_request(add_headers)


def security_headers(script_hashes: Iterable[str]) -> dict[str, str]:
    """Nothing is loaded from elsewhere, nothing is framed, no address is told to others."""
    policy = {
        "default-src": "'self'",
        "script-src": " ".join(["'self'", *script_hashes]),
        "style-src": "'self' 'unsafe-inline'",
        "img-src": "'self' data: blob:",
        "worker-src": "'self' blob:",
        "object-src": "'none'",
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
    }
    return {
        "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }


def listen(host: str, port: int | None = None) -> socket.socket:
    """A listening socket; without `port` the first free one from 8050 on. Raises OSError where there is none."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    wanted = [port] if port is not None else range(DEFAULT_PORT, DEFAULT_PORT + PORTS_TRIED)
    for candidate in wanted:
        try:
            return socket.create_server((host, candidate), family=family)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or candidate == wanted[-1]:
                raise
    raise AssertionError("unreachable")


def host(sock: socket.socket) -> str:
    """The name by which this machine reaches the socket."""
    name = str(sock.getsockname()[0])
    return {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(name, f"[{name}]" if ":" in name else name)


def address(sock: socket.socket, query: str = "", token: str = "") -> str:
    """The URL under which this machine reaches the socket."""
    parts = [f"{guard.TOKEN}={token}" if token else "", query.strip().lstrip("?")]
    query = "&".join(filter(None, parts))
    return f"http://{host(sock)}:{sock.getsockname()[1]}/" + (f"?{query}" if query else "")


def over_ssh(env: Mapping[str, str]) -> bool:
    """Whether somebody far away started this."""
    return any(name in env for name in ("SSH_CONNECTION", "SSH_CLIENT", "SSH_TTY"))


def browser_is_near(env: Mapping[str, str], platform: str = sys.platform) -> bool:
    """Whether a browser opened here would be seen by the person who started the app."""
    if over_ssh(env) or env.get("CI"):
        return False
    return platform in ("win32", "darwin") or bool(env.get("DISPLAY") or env.get("WAYLAND_DISPLAY"))


def announce(
    url: str, port: int, open_browser: bool, env: Mapping[str, str] = os.environ, everywhere: bool = False
) -> None:
    """Say where the app is, to whom (`everywhere`: to other machines too), and show it where somebody sees it."""
    print(f"gradlab is at {url}  (Ctrl-C ends it)", flush=True)
    if everywhere:
        print(EVERYWHERE, flush=True)
    if over_ssh(env):
        print(f"From your own machine: ssh -L {port}:127.0.0.1:{port} {_user()}@{socket.gethostname()}", flush=True)
    elif open_browser and browser_is_near(env):
        webbrowser.open(url)


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # an account without a name
        return "you"
