"""What many steps do, for every registered cell: norms, singular values, paths, credit, Lyapunov exponents."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from ..arrays import Namespace
from ..cells import CELLS
from ..engine.jacobian import jacobian
from ..products import log_norms, path_split, singular_values
from ..products.credit import contributions, triangle
from ..products.lyapunov import lyapunov_of_trajectory
from .agreement import LOGARITHM, Found, Item
from .problems import Problem, random_problem


def products() -> Iterator[Item]:
    """Each cell."""
    looks: dict[str, Callable[[Namespace, Problem], Found]] = {"norms of products": norms, "probes": probes}
    looks |= {"singular values": singular, "paths": paths, "credit": credit, "Lyapunov exponents": exponents}
    for name in CELLS:
        for what, look in looks.items():
            yield Item(f"{name}: {what}", partial(_computed, look, name), factor=4.0)


def _computed(look: Callable[[Namespace, Problem], Found], name: str, xp: Namespace, dtype: str) -> Found:
    return look(xp, random_problem(name, (2,), scale=0.6).moved(xp, dtype))


def norms(xp: Namespace, problem: Problem) -> Found:
    """ln of the norms of d state_T / d state_t, and whether the spectral one lies within its 1 % of the exact one."""
    steps = jacobian(problem.unroll())
    found, start = log_norms(steps, method="exact"), 2
    assert found.spectral is not None
    off = xp.abs(found.spectral[start] - singular_values(steps, steps.traj.steps, start, 1).logs[0])
    return {LOGARITHM + "Frobenius": found.frobenius, "spectral, within 1 %": off <= 0.01}


def probes(xp: Namespace, problem: Problem) -> Found:
    """The estimate from random cotangents."""
    return {LOGARITHM + "Frobenius": log_norms(jacobian(problem.unroll()), method="probes").frobenius}


def singular(xp: Namespace, problem: Problem) -> Found:
    """ln of the singular values over a span."""
    return {LOGARITHM + "sigma": singular_values(jacobian(problem.unroll()), 10, 2).logs}


def paths(xp: Namespace, problem: Problem) -> Found:
    """The gradient of a span, split by path."""
    traj = problem.unroll()
    split = path_split(jacobian(traj), 10, 5, problem.bptt(traj).mantissas[10])
    return {LOGARITHM + "whole": split.whole, "shares": split.shares}


def credit(xp: Namespace, problem: Problem) -> Found:
    """Which loss reaches which step, and what each step contributes."""
    traj = problem.unroll()
    found = {f"|step of {name}|": log for name, log in contributions(problem.bptt(traj)).items()}
    found["|triangle|"] = triangle(traj, problem.dL_dh, (0, 2), times=(5, 12))
    return {LOGARITHM + name: log for name, log in found.items()}


def exponents(xp: Namespace, problem: Problem) -> Found:
    """The three leading exponents of each sample, which end up in host memory."""
    spectrum = lyapunov_of_trajectory(problem.unroll(), k=3)
    return {LOGARITHM + "growth per step": xp.asarray(spectrum.samples)}
