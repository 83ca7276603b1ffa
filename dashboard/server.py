"""The HTTP side: who may ask, what an answer may load, where the server listens, and when a browser opens.

Source of the rules: the app runs programs' worth of computation for whoever reaches it, so it listens on this machine
only, refuses names that do not belong to it (DNS rebinding), and its pages load nothing from anywhere else.
"""

import errno
import getpass
import os
import re
import socket
import sys
import webbrowser
from collections.abc import Iterable, Mapping

from dash import Dash
from flask import Response, request

DEFAULT_PORT = 8050
PORTS_TRIED = 50
UPLOAD_LIMIT = 16 * 1000**2  # bytes of a file
REQUEST_LIMIT = UPLOAD_LIMIT * 4 // 3 + 1000**2  # a file arrives as base64, with the state of the page around it
LOCAL_NAMES = ("127.0.0.1", "localhost", "[::1]")
_HOST = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^:\[\]]+)(?::\d+)?")


def protect(app: Dash, allowed_hosts: Iterable[str] = ()) -> None:
    """Refuse unknown Host headers and oversized requests, and send the security headers.

    Call it last: the policy holds the hashes of every inline script that the app has by then.
    """
    names = {name.lower() for name in (*LOCAL_NAMES, *allowed_hosts)}
    headers = security_headers(app.csp_hashes())

    def refuse_unknown_host() -> Response | None:
        return None if host_name(request.headers.get("Host", "")) in names else refusal()

    def add_headers(response: Response) -> Response:
        response.headers.update(headers)
        return response

    app.server.config["MAX_CONTENT_LENGTH"] = REQUEST_LIMIT
    app.server.before_request(refuse_unknown_host)
    app.server.after_request(add_headers)


def host_name(header: str) -> str:
    """The name in a Host header, without its port; empty where there is none."""
    match = _HOST.fullmatch(header.strip())
    return match[1].lower() if match else ""


def refusal() -> Response:
    """What a request under a foreign name gets."""
    name = host_name(request.headers.get("Host", "")) or "that name"
    text = f"gradlab does not answer to {name}. If you mean to reach it so, start it with: --allow-host {name}\n"
    return Response(text, 403, mimetype="text/plain")


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


def address(sock: socket.socket, query: str = "") -> str:
    """The URL under which this machine reaches the socket."""
    host, port = sock.getsockname()[:2]
    name = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    query = query.strip().lstrip("?")
    return f"http://{name}:{port}/" + (f"?{query}" if query else "")


def over_ssh(env: Mapping[str, str]) -> bool:
    """Whether somebody far away started this."""
    return any(name in env for name in ("SSH_CONNECTION", "SSH_CLIENT", "SSH_TTY"))


def browser_is_near(env: Mapping[str, str], platform: str = sys.platform) -> bool:
    """Whether a browser opened here would be seen by the person who started the app."""
    if over_ssh(env) or env.get("CI"):
        return False
    return platform in ("win32", "darwin") or bool(env.get("DISPLAY") or env.get("WAYLAND_DISPLAY"))


def announce(url: str, port: int, open_browser: bool, env: Mapping[str, str] = os.environ) -> None:
    """Say where the app is, and show it where there is somebody to see it."""
    print(f"gradlab is at {url}  (Ctrl-C ends it)", flush=True)
    if over_ssh(env):
        print(f"From your own machine: ssh -L {port}:127.0.0.1:{port} {_user()}@{socket.gethostname()}", flush=True)
    elif open_browser and browser_is_near(env):
        webbrowser.open(url)


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # an account without a name
        return "you"
