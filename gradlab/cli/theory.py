"""`gradlab theory`: what mean-field theory says of a wide random RNN, without running one."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import click
from rich.table import Table

from ..config import RunConfig
from ..errors import InputError
from ..theory import MeanField, critical_line, mean_field
from .options import GroupedCommand, as_json_text, field_option, flag, number_text
from .terminal import Terminal

OF_SCALE = {"sigma_w": "gain", "sigma_b": "bias_scale", "sigma_v": "input_scale"}  # the field that sets it
SCALES = (
    "--gain, --bias-scale and --input-scale are standard deviations (sigma_w, sigma_b, sigma_v), never variances; the "
    "input has unit variance."
)
HEADLINES: dict[str, Callable[[str], str]] = {
    "ordered": lambda rate: f"Ordered phase: the gradient vanishes, {rate} per step back.",
    "chaotic": lambda rate: f"Chaotic phase: the gradient explodes, {rate} per step back.",
    "critical": lambda rate: "Critical: the gradient keeps its norm.",
    "divergent": lambda rate: f"No lasting state: it grows without limit; the gradient changes {rate} per step back.",
}


@click.command("theory", cls=GroupedCommand, short_help="Show what mean-field theory predicts for a random RNN.")
@field_option("activation")
@field_option("gain")
@field_option("bias_scale")
@field_option("input_scale")
@flag("--json", "as_json", help="Print one JSON object; null stands for infinite and missing numbers")
@flag("-q", "--quiet", help="Print the headline only, or the JSON")
@flag("--debug", help="Show where in the code an error arose", expose_value=False)
def theory_command(as_json: bool, quiet: bool, **options: str | None) -> None:
    """Predict the gradient of a wide random RNN from the standard deviations of its weights, biases and input.

    \b
    Examples:
      gradlab theory --activation tanh --gain 1.5 --bias-scale 0.05 --input-scale 1
      gradlab theory --activation relu --gain 1.4142 --input-scale 0 --json
    """  # noqa: D301 - click takes the character itself as the mark of a paragraph that keeps its lines
    given: dict[str, Any] = {field: text for field, text in options.items() if text is not None}
    found, critical = _predict(RunConfig(**given))
    if as_json:
        click.echo(as_json_text(_summary(found, critical)))
    elif quiet:
        Terminal().say(headline(found))
    else:
        _print_report(found, critical)


def _predict(config: RunConfig) -> tuple[MeanField, float]:
    """The prediction, and the critical gain at these scales of bias and input."""
    try:
        found = mean_field(config.activation, config.gain, config.bias_scale, config.input_scale)
    except InputError as error:
        for name, text in error.fields.items():
            raise InputError(text, OF_SCALE.get(name, name)) from error
        raise
    return found, float(critical_line(found.activation, found.sigma_b, found.sigma_v))


def headline(found: MeanField) -> str:
    """The phase and the rate, in one sentence."""
    from ..wording import factor_text

    return HEADLINES[found.phase](factor_text(found.log_rate))


def _print_report(found: MeanField, critical: float) -> None:
    out = Terminal()
    out.say(headline(found), "bold")
    scales = ", ".join(f"{name} = {getattr(found, name):g}" for name in OF_SCALE)
    out.say(f"\n{found.activation}, {scales}\n")
    out.print(_table(found, critical))
    out.say(f"\n{found.holds}\n{found.fails}\n{SCALES}")


def _table(found: MeanField, critical: float) -> Table:
    from ..wording import factor_text

    shown = Table(box=None, pad_edge=False, show_header=False)
    shown.add_column()
    shown.add_column(justify="right")
    shown.add_column()
    verb = "grows" if found.chi > 1 else "falls"
    for name, value, meaning in (
        ("q*", _number(found.q), "variance of the pre-activations"),
        ("chi_1", _number(found.chi), "factor of the gradient's squared norm per step"),
        (
            "rate",
            factor_text(found.log_rate),
            f"factor of the norm per step; its ln is {found.log_rate:.6g}",
        ),
        ("depth scale", _number(abs(found.depth)), f"steps over which the squared norm {verb} by a factor e"),
        ("c*", _number(found.c_star), f"where the correlation of two states under one input ends{_memory(found)}"),
        ("depth of c*", _number(found.depth_c), "steps over which the distance to c* falls by a factor e"),
        ("critical gain", _number(critical), "chi_1 = 1 at this bias and input, for infinite width"),
        ("phase", found.phase, "q* has no limit" if found.phase == "divergent" else "by chi_1 against 1"),
    ):
        shown.add_row(name, value, meaning)
    return shown


def _memory(found: MeanField) -> str:
    """What c* says about the initial state."""
    if found.phase in ("ordered", "chaotic"):
        return ": the initial state is forgotten" if found.phase == "ordered" else ": close states drift apart"
    return ""


_number = partial(number_text, digits=".6g", missing="none")


def _summary(found: MeanField, critical: float) -> dict[str, Any]:
    names = ("sigma_w", "sigma_b", "sigma_v", "phase", "q", "chi", "log_rate", "depth", "c_star", "slope_c", "depth_c")
    return {
        "headline": headline(found),
        "activation": found.activation.name,
        **{name: getattr(found, name) for name in names},
        "fixed_points": list(found.fixed_points),
        "critical_sigma_w": critical,
        "holds": found.holds,
        "fails": found.fails,
        "scales": SCALES,
    }
