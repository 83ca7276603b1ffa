"""`gradlab convert`: a checkpoint of PyTorch as a .safetensors file."""

from __future__ import annotations

from pathlib import Path

import click

from ..errors import InputError
from .options import GroupedCommand, flag
from .terminal import OutputFile, Terminal

INSTALL = "PyTorch is not installed here; run this where it is, after pip install gradlab there"


@click.command("convert", cls=GroupedCommand, short_help="Write a PyTorch checkpoint as .safetensors.")
@click.argument("source", type=click.Path(path_type=Path, readable=False))
@click.argument("target", type=click.Path(path_type=Path, readable=False))
@flag("--debug", help="Show where in the code an error arose", expose_value=False)
def convert_command(source: Path, target: Path) -> None:
    """Write the weights in SOURCE, a file of torch.save, to TARGET, a .safetensors file that --weights reads.

    PyTorch has to be installed; its safe loader opens the file, which runs nothing that is in it. A state dict within
    a checkpoint or a Lightning module is found; the optimizer and the rest are left out, as is said.

    \b
    Example:
      gradlab convert model.pt model.safetensors
    """  # noqa: D301 - click takes the character itself as the mark of a paragraph that keeps its lines
    try:
        from ..torch.convert import convert
    except ModuleNotFoundError:
        raise InputError(INSTALL, "source") from None

    file = OutputFile(target, "TARGET", (".safetensors",))
    file.check()
    found = convert(str(source))
    file.write(found.data)
    Terminal().say("; ".join([*found.said, f"wrote {target}"]) + ".", wrap=False)
