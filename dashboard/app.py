"""The app and its command."""

import secrets
import signal
from typing import Any, NoReturn

import click
from dash import Dash

from . import guard, pages, posts, server, shell
from .work import lanes

THREADS = 64  # nearly all of which wait for what is computed elsewhere


def create_app(allowed_hosts: tuple[str, ...] = (), token: str = "") -> Dash:
    """A new Dash app; any number of them can live in one process.

    allowed_hosts: names, besides those of this machine, under which the app may be reached. token: what a browser has
    to know; empty where only this machine reaches it.
    """
    app = posts.CheckedDash(
        __name__,
        title="gradlab",
        update_title="",
        assets_ignore=r"early-.*",
        index_string=shell.INDEX,
        suppress_callback_exceptions=True,  # a page's components come after the shell's
        add_log_handler=False,
    )
    app.layout = shell.layout()
    shell.register(app)
    for page in pages.PAGES:
        page.register(app)
    server.protect(app, allowed_hosts, token)
    posts.register(app)
    return app


def _address(_context: Any, _option: Any, host: str) -> str:
    """An empty address would mean every one that the machine has."""
    if not host.strip():
        raise click.BadParameter("expected an address such as 127.0.0.1, or 0.0.0.0 for all that this machine has")
    return host


@click.command()
@click.argument("query", default="")
@click.option("--host", default="127.0.0.1", show_default=True, callback=_address, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), help="Port; by default the first free one from 8050 on.")
@click.option("--allow-host", "allowed", multiple=True, metavar="NAME", help="Also answer under this name; repeatable.")
@click.option("--no-browser", is_flag=True, help="Only print the address.")
def main(query: str, host: str, port: int | None, allowed: tuple[str, ...], no_browser: bool) -> None:
    """Open gradlab's app, optionally at a QUERY such as '?v=1&gain=3'."""
    import waitress

    try:
        sock = server.listen(host, port)
    except (OSError, UnicodeError) as error:
        where = f"port {port}" if port is not None else "any port"
        reason = getattr(error, "strerror", None) or error
        raise click.ClickException(f"cannot listen on {host}, {where}: {reason}; try another --port") from None
    everywhere = not guard.is_local(sock.getsockname()[0])
    token = secrets.token_urlsafe() if everywhere else ""
    app = create_app((*allowed, server.host(sock)), token)
    running = waitress.create_server(app.server, sockets=[sock], threads=THREADS)
    signal.signal(signal.SIGTERM, _end)
    lanes.start()
    url = server.address(sock, query, token)
    server.announce(url, sock.getsockname()[1], not no_browser, everywhere=everywhere)
    try:
        running.run()  # returns on Ctrl-C and on _end
    finally:
        lanes.stop()
    click.echo("gradlab has ended.")


def _end(*_signal: Any) -> NoReturn:
    """Being told to end is like Ctrl-C."""
    raise KeyboardInterrupt
