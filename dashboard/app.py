"""The app and its command."""

import signal
from typing import Any, NoReturn

import click
from dash import Dash

from . import pages, posts, server, shell
from .work import lanes

THREADS = 64  # nearly all of which wait for what is computed elsewhere


def create_app(allowed_hosts: tuple[str, ...] = ()) -> Dash:
    """A new Dash app; any number of them can live in one process.

    allowed_hosts: names, besides those of this machine, under which the app may be reached.
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
    server.protect(app, allowed_hosts)
    posts.register(app)
    return app


@click.command()
@click.argument("query", default="")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), help="Port; by default the first free one from 8050 on.")
@click.option("--allow-host", "allowed", multiple=True, metavar="NAME", help="Also answer under this name; repeatable.")
@click.option("--no-browser", is_flag=True, help="Only print the address.")
def main(query: str, host: str, port: int | None, allowed: tuple[str, ...], no_browser: bool) -> None:
    """Open gradlab's app, optionally at a QUERY such as '?v=1&gain=3'."""
    import waitress

    try:
        sock = server.listen(host, port)
    except OSError as error:
        where = f"port {port}" if port is not None else "any port"
        raise click.ClickException(f"cannot listen on {host}, {where}: {error.strerror}; try another --port") from None
    running = waitress.create_server(create_app(allowed).server, sockets=[sock], threads=THREADS)
    signal.signal(signal.SIGTERM, _end)
    lanes.start()
    server.announce(server.address(sock, query), sock.getsockname()[1], not no_browser)
    try:
        running.run()  # returns on Ctrl-C and on _end
    finally:
        lanes.stop()
    click.echo("gradlab has ended.")


def _end(*_signal: Any) -> NoReturn:
    """Being told to end is like Ctrl-C."""
    raise KeyboardInterrupt
