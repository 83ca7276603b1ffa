"""What an analysis says of a layer over trees, and of inputs that stand at the nodes of trees."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import xarray as xr

from ..arrays import quiet, to_numpy
from ..engine.scaled import Scaled
from ..layers import Trees, TreeTape
from ..quantities import QUANTITIES
from ..wording import counted
from .labels import circumstances, variable

NODES = ("state", "node", "sample")
LAG = "depth below the root; root mean square over the nodes there"


def tree_dataset(tape: TreeTape, probe: Scaled, loss: Scaled | None = None) -> xr.Dataset:
    """`log_grad_norm` (state, node, sample) of the probe, `log_loss_grad_norm` of another loss, and where nodes are.

    probe, loss: the nodes' adjoints, as a tape has them after its backward pass. Where nodes are, `node_depth` and
    `node_parent` (node, sample) say, counted from 0 as in `Trees`; beyond a tree's own nodes -1, and logarithms NaN.
    """
    trees, cell = tape.trees, tape.cell
    found = {"log_grad_norm": probe} | ({} if loss is None else {"log_loss_grad_norm": loss})
    logs = {name: np.where(trees.own, to_numpy(adjoints.log_norm(-1)), np.nan) for name, adjoints in found.items()}
    variables = {name: variable(replace(QUANTITIES[name], dims=NODES), array, 0) for name, array in logs.items()}
    about = {
        "node_depth": ("Steps below the root", trees.depths),
        "node_parent": ("The node above, -1 at the root", trees.parents),
    }
    for name, (text, array) in about.items():
        variables[name] = xr.Variable(NODES[1:], array, {"long_name": text, "units": "1"})
    coords = {"state": list(cell.states), "node": range(trees.steps), "sample": range(trees.samples)}
    title = f"Gradient dynamics of {cell!r} over {counted(trees.samples, 'tree')}"
    names = {"cell": repr(cell), "cell_name": cell.name, "activation": cell.activation.name}
    return xr.Dataset(variables, coords, {"title": title, **names, **circumstances(tape.y)})


def by_depth(logs: np.ndarray, trees: Trees) -> tuple[np.ndarray, str]:
    """ln of the share (depth, B) that inputs get so far below the root, and what it is a share of, as `by_lag` has it.

    logs (T, B): ln of each node's gradient, NaN where there is no input.
    """
    found = depth_norms(logs, trees)
    if not np.isfinite(found[0]).all():
        return found, "probe"
    return found - found[0], "lag 0"


def depth_norms(logs: np.ndarray, trees: Trees) -> np.ndarray:
    """ln of the norms (depth, B) so far below the root from those of each node (T, B), NaN where nothing is known.

    Of several nodes at a depth it is their root mean square, of none NaN.
    """
    at = np.nonzero(~np.isnan(logs))
    own, places = logs[at], (trees.depths[at], at[1])
    top, squares, count = (np.full((trees.depths.max() + 1, trees.samples), start) for start in (-np.inf, 0.0, 0.0))
    np.maximum.at(top, places, own)
    top = np.where(top > -np.inf, top, 0.0)
    np.add.at(squares, places, np.exp(2 * (own - top[places])))
    np.add.at(count, places, 1.0)
    with quiet():
        return np.asarray(top + 0.5 * np.log(squares / count))
