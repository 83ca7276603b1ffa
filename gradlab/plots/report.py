"""Results for other people: rows of numbers, one self-contained page, files."""

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from html import escape
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from ..config import Config, RunConfig
from ..config.links import known, to_command, to_python
from ..config.train import TrainConfig
from ..data import disk
from ..errors import InputError
from ..runs.attributes import config_of, text_of, versions
from ..runs.ranking import ranking_rows
from ..runs.recorded import CAPTION, median_rows
from ..runs.rows import rows, rows_by_lag
from ..runs.shares import ended, share_left
from ..runs.verdicts import lag_shares, steps_back
from ..wording import number_text, power_text, times
from .clipped import clipping
from .colours import THEMES
from .compare import comparison
from .layers import network
from .marks import plot_text
from .overview import explore, gradient_flow
from .panels import FONT
from .series import largest_factor, largest_name, log, require, typical_factor
from .spectra import weights
from .tabs import gates, parameters, paths
from .training import course_table, training_course

GRAPH_CONFIG = {"showSendToCloud": False, "displaylogo": False, "responsive": True}
WIDTH = 1100  # px of a .png
MOST_LAYERS = 6  # in a table


def table(ds: xr.Dataset | xr.DataTree) -> list[dict[str, Any]]:
    """The main figure as rows: steps back 0, 1, 2, 5, 10, ..., step, share left, typical and largest factor.

    Steps are counted back from each sample's own last one. The factors are those of the step back that starts there;
    texts, with "" where there is none. Of a network the rows have the share of the gradient that reaches the inputs so
    far from where the loss is, and what comes to its layers there, to those that have the places of the inputs.
    """
    if isinstance(ds, xr.DataTree):
        return _network_rows(ds)
    require(ds, "log_grad_norm", "valid_steps", "jacobian_frobenius", "jacobian_spectral")
    ds = ended(ds)
    share, steps = share_left(ds).values, ds.sizes["step"]
    factors = {"typical factor": log(typical_factor(ds)), largest_name(ds): log(largest_factor(ds))}
    rows = []
    for back in sorted({*steps_back(steps), steps - 1}):
        at = steps - back
        texts = {name: _text(logs[at - 1], number_text) if at else "" for name, logs in factors.items()}
        rows.append({"steps back": back, "step": at, "share left": _text(share[at], power_text), **texts})
    return rows


def _network_rows(found: xr.DataTree) -> list[dict[str, Any]]:
    """One row per distance from where the loss is; of layers those with the places of the inputs."""
    shares, (*layers, inputs) = lag_shares(found), rows_by_lag(found)
    head = "levels down" if inputs.levels else "steps back"
    return [
        {head: back, "share left at the input": _text(shares[back], power_text)}
        | {f"gradient in {row.title}": _text(row.lags[back], power_text) for row in layers[:MOST_LAYERS]}
        for back in steps_back(len(shares) - 1)
    ]


def _text(value: float, say: Any) -> str:
    return "" if np.isnan(value) else say(float(value))


# one page


def html_report(ds: xr.Dataset | xr.DataTree, headline: str, details: Sequence[str]) -> str:
    """One HTML page that needs no network: verdict, every figure, the table, configuration, and how to repeat it.

    Of a network there is a figure of each layer. Raises InputError for a Dataset without the quantities.
    """
    figures = _layer_figures(ds) if isinstance(ds, xr.DataTree) else _run_figures(ds)
    sections = [*_figures(figures), _numbers(table(ds))]
    if isinstance(ds, xr.Dataset):
        sections.append(_section(CAPTION, _table_html(median_rows(ds))))
    return _page(_title(ds), headline, details, sections + _provenance([ds], RunConfig))


def _run_figures(ds: xr.Dataset) -> dict[str, go.Figure]:
    figures: dict[str, Callable[..., go.Figure]] = {
        "": explore,
        "Weights": weights,
        "Gates": gates,
        "Paths": paths,
        "Parameters": parameters,
        "Clipping": clipping,
    }
    if not ds.sizes.get("recurrent_gate", 1):
        del figures["Weights"]
    return {name: draw(ds) for name, draw in figures.items()}


def _layer_figures(found: xr.DataTree) -> dict[str, go.Figure]:
    """What reaches the inputs, and each layer's, the one next to the loss first."""
    *layers, inputs = rows(found)
    return {"": network(found, inputs.path)} | {
        row.title.capitalize(): network(found, row.path) for row in layers[:MOST_LAYERS]
    }


def training_report(
    runs: Sequence[xr.Dataset],
    looks: Sequence[xr.Dataset],
    headline: str,
    details: Sequence[str],
    advice: Sequence[str] = (),
) -> str:
    """One HTML page of training runs that needs no network: words, figures, numbers, settings, how to repeat them.

    runs: of `gradlab.training.dataset`, told apart by their attribute "label". looks: of `snapshot_dataset`, a moment
    of each. advice: lines of the clip advisor. Raises InputError for other Datasets.
    """
    figures = {"": training_course(runs[0], runs[1:])}
    if looks:
        moment = text_of(looks[0], "title", "a moment of the training")
        figures[f"Gradient through time: {moment[0].lower()}{moment[1:]}"] = gradient_flow(looks[0], pins=looks[1:])
    advised = ["<h2>Clip advisor</h2>" + "".join(f"<p>{_text_html(line)}</p>" for line in advice)] if advice else []
    sections = [*_figures(figures), *advised, _numbers(course_table(runs))]
    return _page(_title(runs[0]), headline, details, sections + _provenance(runs, TrainConfig))


def comparison_report(ds: xr.Dataset, headline: str, details: Sequence[str]) -> str:
    """One HTML page of runs that are compared: words, the figure, the ranking, and how to repeat each of them.

    ds: of `gradlab.compare`. Raises InputError for another one.
    """
    figures = _figures({"": comparison(ds)})
    runs = [
        xr.Dataset(attrs={"label": str(name), "config": str(config), "versions": text_of(ds, "versions")})
        for name, config in zip(ds.run.values, ds.config.values, strict=True)
    ]
    return _page(_title(ds), headline, details, [*figures, _numbers(ranking_rows(ds)), *_provenance(runs, RunConfig)])


def _page(title: str, headline: str, details: Sequence[str], sections: Sequence[str]) -> str:
    facts = "".join(f"<li>{_text_html(text)}</li>" for text in details)
    body = f"<h1>{_text_html(headline)}</h1><p>{escape(title)}</p><ul>{facts}</ul>{''.join(sections)}"
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{_style()}</style></head><body><main>{body}</main></body></html>"
    )


def _title(ds: xr.Dataset | xr.DataTree) -> str:
    return text_of(ds, "title", "gradlab report")


def _text_html(text: str) -> str:
    """With real powers and multiplication signs: 10^-19, x0.64."""
    return plot_text(escape(times(text)))


def _figures(figures: Mapping[str, go.Figure]) -> list[str]:
    """Every figure below its heading; the first, which has none, brings plotly.js for all."""
    options = {"full_html": False, "config": GRAPH_CONFIG}
    return [
        (f"<h2>{escape(name)}</h2>" if name else "") + fig.to_html(include_plotlyjs=not name, **options)
        for name, fig in figures.items()
    ]


def _numbers(rows: Sequence[Mapping[str, Any]]) -> str:
    return f"<h2>In numbers</h2>{_table_html(rows)}"


def _provenance(runs: Sequence[xr.Dataset | xr.DataTree], kind: type[Config]) -> list[str]:
    """Configuration, command, Python and versions, as far as the Datasets know them, each under its name if several."""
    names = [f" of {text_of(ds, 'label', _title(ds))}" if len(runs) > 1 else "" for ds in runs]
    settings = [section for ds, name in zip(runs, names, strict=True) for section in _settings(ds, kind, name)]
    return settings + _versions(runs[0])


def _settings(ds: xr.Dataset | xr.DataTree, kind: type[Config], name: str) -> list[str]:
    """The configuration and how to repeat it; as it was written, and why, where this version cannot read it."""
    try:
        config = config_of(ds, kind)
    except InputError as error:
        written = f"<p>{escape(str(error))}</p><pre>{escape(text_of(ds, 'config'))}</pre>"
        return [_section(f"Configuration{name}", written)]
    if config is None:
        return []
    texts = {"As a command": to_command(config), "In Python": to_python(config)}
    repeat = [_section(title + name, f"<pre>{escape(code)}</pre>") for title, code in texts.items()]
    return [_section(f"Configuration{name}", _mapping_html(known(config))), *repeat]


def _versions(ds: xr.Dataset | xr.DataTree) -> list[str]:
    try:
        made_with = versions(ds)
    except InputError:
        made_with = {"as written": text_of(ds, "versions")}
    return [_section("Versions", _mapping_html(made_with))] if made_with else []


def _section(heading: str, content: str) -> str:
    return f"<h2>{escape(heading)}</h2>{content}"


def _style() -> str:
    look = THEMES["light"]
    return (
        f"body{{margin:0;background:{look.page};color:{look.text};font:16px/1.5 {FONT}}}"
        "main{max-width:1100px;margin:0 auto;padding:16px}"
        "h1{font-size:32px;margin:8px 0}h2{font-size:20px;margin:32px 0 8px}"
        "table{display:block;overflow-x:auto;border-collapse:collapse;font-size:14px}"
        f"pre{{padding:10px 14px;border:1px solid {look.grid};white-space:pre-wrap;overflow-wrap:anywhere}}"
        f"th,td{{text-align:left;padding:3px 16px 3px 0;border-bottom:1px solid {look.grid}}}"
    )


def _table_html(rows: Sequence[Mapping[str, Any]]) -> str:
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in rows[0])
    cells = ("".join(f"<td>{_text_html(str(value))}</td>" for value in row.values()) for row in rows)
    body = "".join(f"<tr>{row}</tr>" for row in cells)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _mapping_html(values: Mapping[str, Any]) -> str:
    """Names and values as a table of two columns."""
    pairs = ((name, "" if value is None else str(value)) for name, value in values.items())
    rows = "".join(f'<tr><th scope="row">{escape(name)}</th><td>{escape(value)}</td></tr>' for name, value in pairs)
    return f"<table>{rows}</table>"


# files


def save(fig: go.Figure, path: str | os.PathLike[str]) -> None:
    """Write a figure to .html (needs no network), .json or .png.

    Raises InputError for another suffix, a path that cannot be written, or .png without kaleido and a Chromium.
    """
    contents = {".html": _html, ".json": _json, ".png": png}
    suffix = Path(path).suffix.lower()
    if suffix not in contents:
        raise InputError(f"{path}: a figure is saved as {', '.join(contents)}, not '{suffix}'", "path")
    disk.write(path, contents[suffix](fig), f"{path}:", field="path")


def _html(fig: go.Figure) -> bytes:
    page: str = _opaque(fig).to_html(include_plotlyjs=True, config=GRAPH_CONFIG)
    return page.encode()


def _json(fig: go.Figure) -> bytes:
    text: str = fig.to_json()
    return text.encode()


def png(fig: go.Figure) -> bytes:
    """A figure as a picture, drawn by kaleido, which drives a Chromium. Raises InputError without either."""
    try:
        kaleido = import_module("kaleido")
    except ImportError:
        message = "a .png needs kaleido: pip install 'gradlab[export]'; .html needs nothing"
        raise InputError(message) from None
    logging.getLogger("choreographer").setLevel(
        logging.CRITICAL
    )  # it prints tracebacks of messages that it then ignores
    try:
        options = {"format": "png", "width": WIDTH, "height": fig.layout.height, "scale": 2}
        # without kopts kaleido's page asks a public server for MathJax
        picture: bytes = kaleido.calc_fig_sync(_opaque(fig).to_dict(), opts=options, kopts={"mathjax": False})
        return picture
    except RuntimeError as error:
        why = str(error).strip().splitlines()[0]
        raise InputError(f"kaleido cannot draw a .png: {why} Install Chromium or Chrome, or save .html") from None


def _opaque(fig: go.Figure) -> go.Figure:
    """On its theme's page throughout: a transparent figure is unreadable where what is beneath is not its own."""
    return go.Figure(fig).update_layout(paper_bgcolor=fig.layout.plot_bgcolor)
