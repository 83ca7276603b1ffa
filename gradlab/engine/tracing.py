"""Arrays as a fused kernel sees them, which lets a cell's elementwise functions be checked without a GPU.

A `Traced` array takes operators, and the elementwise functions of the namespace `ELEMENTWISE`; whatever else is done
with it raises NotElementwise with a sentence.
"""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np

from ..arrays import erf

OPERATORS = (  # those of CuPy's traced arrays, which know no abs() and no unary plus
    *(np.add, np.subtract, np.multiply, np.divide, np.floor_divide, np.remainder, np.power),
    *(np.negative, np.invert, np.bitwise_and, np.bitwise_or, np.bitwise_xor),
    *(np.equal, np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal),
)


class NotElementwise(Exception):  # noqa: N818 - whoever catches it says of which function it is an error
    """What was done that no fused kernel can do, as the end of a sentence that begins with who did it."""


def _refusing(doing: str) -> Any:
    def refuse(self: Traced, *args: Any, **kwargs: Any) -> NoReturn:
        raise NotElementwise(doing)

    return refuse


class Traced(np.lib.mixins.NDArrayOperatorsMixin):
    """An array with operators and nothing else. given: whether it is an argument, which has to stay as it is."""

    def __init__(self, values: Any, given: bool = False) -> None:
        self.values, self.given = np.asarray(values), given

    @property
    def dtype(self) -> np.dtype:
        """As a kernel knows it."""
        return self.values.dtype

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = None, **options: Any) -> Any:
        """What operators end in; functions are to be taken from the namespace."""
        if method != "__call__" or options or ufunc not in OPERATORS:
            raise NotElementwise(_foreign(ufunc, method))
        if out is None:
            return applied(ufunc, inputs)
        target = out[0]
        if not isinstance(target, Traced) or target.given:
            raise NotElementwise("changes an argument in place")
        target.values = applied(ufunc, inputs).values
        return target

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> NoReturn:
        """Functions of NumPy that are no ufuncs."""
        raise NotElementwise(_foreign(function))

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        raise NotElementwise(f"uses .{name} of an array")

    __getitem__ = _refusing("indexes an array")
    __setitem__ = _refusing("assigns to a part of an array")
    __len__ = __iter__ = _refusing("goes through an array")
    __bool__ = _refusing("decides by an array's value")
    __float__ = __int__ = __index__ = __array__ = _refusing("converts an array")
    __rpow__ = _refusing("raises a number to a power: take xp.power")
    __hash__ = None  # type: ignore[assignment]


def _foreign(function: Any, method: str = "__call__") -> str:
    """Of a function of NumPy's own namespace."""
    elementwise = function is np.where or (isinstance(function, np.ufunc) and function.signature is None)
    why = "take it from xp" if elementwise and method == "__call__" else "it is no elementwise function"
    return f"uses numpy.{function.__name__}: {why}"


def applied(function: Any, inputs: tuple[Any, ...]) -> Any:
    """An elementwise function of traced arrays and numbers."""
    if any(isinstance(value, np.ndarray) for value in inputs):
        raise NotElementwise("mixes its arguments with an array of its own")
    plain = [value.values if isinstance(value, Traced) else value for value in inputs]
    with np.errstate(all="ignore"):
        result = function(*plain)
    traced = [value.values for value in inputs if isinstance(value, Traced)]
    if not traced:
        return result
    if all(values.dtype == bool for values in traced) and np.result_type(result).kind == "f":
        raise NotElementwise("makes numbers of truth values alone, in half precision: use xp.where with an array")
    return tuple(map(Traced, result)) if isinstance(result, tuple) else Traced(result)


class _Elementwise:
    """A namespace of elementwise functions alone, and of numbers such as pi."""

    __name__ = "elementwise"

    def __getattr__(self, name: str) -> Any:
        function: Any = erf(np) if name == "erf" else getattr(np, name, None)
        if isinstance(function, float | type):
            return function
        if name != "where" and (not isinstance(function, np.ufunc) or function.signature is not None):
            raise NotElementwise(f"uses xp.{name}: it is no elementwise function")
        count = 3 if function is np.where else function.nin

        def call(*inputs: Any, **options: Any) -> Any:
            if options or len(inputs) != count:
                raise NotElementwise(f"gives xp.{name} more than its {count} operands, such as {_extra(options)}")
            return applied(function, inputs)

        return call


def _extra(options: dict[str, Any]) -> str:
    return f"{next(iter(options))}=" if options else "an array for the result"


ELEMENTWISE = _Elementwise()
