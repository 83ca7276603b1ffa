"""Stacks of vectors as mantissas times a power of two each, so that products of any length neither over- nor underflow.

An exponent changes only where a vector's norm leaves the safe range, so that most steps cost one look at the norms.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ..arrays import LN2, Array, Namespace, quiet, row_dots
from ..engine.jacobian import StateJacobian, StepJacobian
from ..engine.scaled import Scaled, bring_near_one

MODERATE = 2.0**60  # how far a squared norm may stray from 1 before its vector is brought back
SAFE = {4: 2.0**120, 8: 2.0**1000}  # how far it may go within one step: still a normal number; by bytes of a number


class ScaledVectors:
    """mantissas times 2^exponents; `axes`, of which the last is -1, hold one vector, the others number them.

    squares: the mantissas' squared norms. A vector that became zero stays zero; its log norm is -inf.
    """

    def __init__(self, xp: Namespace, vectors: Array, axes: tuple[int, ...]) -> None:
        self.xp, self.axes, self.mantissas, self.spare = xp, axes, vectors, xp.empty_like(vectors)
        self.exponents = xp.zeros(xp.max(vectors, axis=axes).shape, dtype=xp.int32)
        self.safe = SAFE[vectors.dtype.itemsize]
        self.normalise()

    def multiply(self, operator: Callable[[Array, Array], Array], step: StepJacobian) -> None:
        """operator(vectors, out), exact at any magnitude; InputError says where a Jacobian is not finite."""
        squares = self._squares(operator(self.mantissas, self.spare))
        moderate = self._within(squares, MODERATE)
        if not (moderate or self._within(squares, self.safe)):
            self.normalise()
            if not bool(self.xp.isfinite(operator(self.mantissas, self.spare)).all()):
                step.refuse()
        self.mantissas, self.spare, self.squares = self.spare, self.mantissas, squares
        if not moderate:
            self.normalise()

    def put(self, at: int, vector: Array) -> None:
        """Replace the vectors with index `at` along the first axis."""
        self.mantissas[at], self.exponents[at] = vector, 0
        self.normalise()

    def clear(self) -> None:
        """Make all vectors zero."""
        self.mantissas[...] = 0
        self.normalise()

    def normalise(self) -> None:
        """Bring each vector's largest entry to [0.5, 1)."""
        self.exponents = self.exponents + bring_near_one(self.xp, self.mantissas, self.axes)
        self.squares = self._squares(self.mantissas)
        self.alive = self.squares > 0

    @property
    def scaled(self) -> Scaled:
        """The vectors as numbers of any magnitude."""
        return Scaled(self.mantissas, self.xp.expand_dims(self.exponents, self.axes))

    def log_norms(self) -> Array:
        """ln of each vector's norm, float64."""
        with quiet():
            return 0.5 * self.xp.log(self.squares.astype(self.xp.float64)) + LN2 * self.exponents

    def _squares(self, vectors: Array) -> Array:
        squares = row_dots(self.xp, vectors, vectors)
        return squares.sum(axis=self.axes[:-1]) if self.axes[:-1] else squares

    def _within(self, squares: Array, limit: float) -> bool:
        inside = (squares < limit) & (squares > 1 / limit)
        return bool((inside | ~self.alive).all())


def pull_back(jacobian: StateJacobian, u: Array, t: int, s: int) -> Iterator[tuple[int, ScaledVectors]]:
    """(r, (d state_t / d state_r)^T u) for r = t, t-1 ... s; u (K, S, *M, B, H). The same object all along."""
    vectors = ScaledVectors(jacobian.traj.xp, u.copy(), (1, -1))  # they are overwritten on the way
    yield t, vectors
    for step in jacobian.each_step(s, t, backwards=True):
        with quiet():
            vectors.multiply(step.apply_transpose, step)
        yield step.t - 1, vectors
