"""A stand-in for CuPy that needs no GPU: arrays that refuse every implicit way to the host.

`strict` is the namespace. It knows only functions that CuPy has, with the keywords that CuPy takes. `StrictArray` wraps
a NumPy array, which only `.get()`, `float()`, `int()` and `bool()` bring back. `fuse` refuses what cupy.fuse
refuses: indexing, creating arrays, some operators, and returning anything but arrays; numbers that it makes of truth
values alone have half precision.
"""

import operator
from types import SimpleNamespace

import numpy as np
from scipy import special


def words(text):
    return tuple(text.split())


UFUNCS = words(
    "abs absolute add arctan cos divide equal exp exp2 expm1 floor fmax fmin frexp greater greater_equal hypot "
    "isfinite isinf isnan ldexp less less_equal log log1p log2 logaddexp logical_and logical_not logical_or maximum "
    "minimum multiply negative not_equal power rint sign sin sqrt square subtract tan tanh true_divide where"
)
FUNCTIONS = {  # name -> the keywords that CuPy's function takes
    "all": "axis out keepdims",
    "any": "axis out keepdims",
    "argmax": "axis dtype out keepdims",
    "argmin": "axis dtype out keepdims",
    "argsort": "axis",
    "ascontiguousarray": "dtype",
    "broadcast_to": "",
    "clip": "out",
    "concatenate": "axis out dtype",
    "count_nonzero": "axis",
    "cumsum": "axis dtype out",
    "diagonal": "offset axis1 axis2",
    "dot": "out",
    "einsum": "dtype optimize",
    "empty_like": "dtype",
    "expand_dims": "axis",
    "full_like": "dtype",
    "matmul": "out",
    "max": "axis out keepdims",
    "mean": "axis dtype out keepdims",
    "median": "axis out keepdims",
    "min": "axis out keepdims",
    "moveaxis": "",
    "nan_to_num": "",
    "nonzero": "",
    "ones_like": "dtype",
    "prod": "axis dtype out keepdims",
    "sort": "axis",
    "squeeze": "axis",
    "stack": "axis out dtype",
    "std": "axis dtype out keepdims",
    "sum": "axis dtype out keepdims",
    "swapaxes": "",
    "take_along_axis": "axis",
    "transpose": "",
    "zeros_like": "dtype",
}
CREATORS = ("arange", "empty", "eye", "full", "linspace", "ones", "zeros")  # these take no array
LINALG = {
    "eigh": "",
    "eigvals": "",
    "inv": "",
    "norm": "axis keepdims",
    "qr": "mode",
    "svd": "compute_uv full_matrices",
}
METHODS = words("all any argmax argmin astype copy max mean min nonzero ravel reshape squeeze sum swapaxes transpose")
CONSTANTS = words("bool_ e finfo float32 float64 inf int32 int64 nan newaxis pi")
OPERATORS = words("add and eq floordiv ge gt le lt matmul mod mul ne or pow sub truediv xor")
MIRRORED = words("add and floordiv matmul mod mul or pow sub truediv xor")


class StrictArray:
    """A NumPy array behind an interface without implicit conversions."""

    __array_ufunc__ = None  # NumPy's functions and operators refuse it
    __hash__ = None

    def __init__(self, host):
        self._host = np.asarray(host)

    def get(self):
        return self._host.copy()

    def __array__(self, dtype=None, copy=None):
        raise TypeError("implicit conversion to a NumPy array is not allowed; use .get()")

    def __array_function__(self, function, types, args, kwargs):
        raise TypeError(f"numpy.{function.__name__} got a StrictArray; use the array's own namespace")

    def __array_namespace__(self, api_version=None):
        return strict

    def __repr__(self):
        return f"Strict{self._host!r}"

    def __len__(self):
        return len(self._host)

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def __getitem__(self, key):
        return type(self)(self._host[_index(key)])

    def __setitem__(self, key, value):
        self._host[_index(key)] = _host(value)

    def __float__(self):
        return float(self.get())

    def __int__(self):
        return int(self.get())

    def __bool__(self):
        return bool(self.get())

    shape = property(lambda self: self._host.shape)
    ndim = property(lambda self: self._host.ndim)
    size = property(lambda self: self._host.size)
    dtype = property(lambda self: self._host.dtype)
    T = property(lambda self: type(self)(self._host.T))
    real = property(lambda self: type(self)(self._host.real))
    imag = property(lambda self: type(self)(self._host.imag))


class Traced(StrictArray):
    """What a fused function gets: elementwise functions and operators only."""

    def _refuse(self, *args, **kwargs):
        raise TypeError("a fused function may use elementwise functions and operators only")

    __getitem__ = __setitem__ = __len__ = __iter__ = __float__ = __int__ = __bool__ = get = _refuse
    __abs__ = __pos__ = __rpow__ = _refuse
    shape = ndim = size = T = property(_refuse)


def _host(value):
    """The NumPy array in a StrictArray; scalars as they are; no NumPy array may come in."""
    if isinstance(value, StrictArray):
        return value._host
    if isinstance(value, np.ndarray):
        raise TypeError("a NumPy array among strict arrays; move it with asarray")
    return type(value)(_host(v) for v in value) if type(value) in (list, tuple) else value


def _index(key):
    """Indices may be NumPy integers, as CuPy converts those."""
    keys = key if isinstance(key, tuple) else (key,)
    return tuple(k._host if isinstance(k, StrictArray) else k for k in keys)


def _wrap(result, kind):
    return tuple(_wrap(r, kind) for r in result) if isinstance(result, tuple) else kind(result)


def _traced(values):
    return any(isinstance(v, Traced) or (isinstance(v, list | tuple) and _traced(v)) for v in values)


def _in_a_kernel(result, args):
    """A fused kernel takes the first type that holds a Python number, unless an array has a larger one."""
    arrays = [a for a in args if isinstance(a, StrictArray)]
    alone = not isinstance(result, tuple) and all(a.dtype == bool for a in arrays)
    return result.astype(np.float16) if alone and result.dtype.kind == "f" else result


def _require_plain_out(args, out):
    """What cupy.dot asks of the array for its result."""
    if out is not None and not (out._host.flags.c_contiguous and out.dtype == np.result_type(*map(_host, args))):
        raise ValueError("dot: the output array must be C-contiguous and of the result's dtype")


def _function(name, function, keywords, elementwise=False):
    """`function` on strict arrays, with CuPy's keywords only."""

    def call(*args, **kwargs):
        if unknown := set(kwargs) - set(keywords.split()):
            raise TypeError(f"cupy.{name} has no argument {', '.join(sorted(unknown))}")
        traced = _traced(args)
        if traced and not elementwise:
            raise TypeError(f"cupy.{name} cannot be fused")
        if isinstance(kwargs.get("out"), tuple):
            raise TypeError("out: expected one array")
        if name == "dot":
            _require_plain_out(args, kwargs.get("out"))
        result = function(*map(_host, args), **{key: _host(value) for key, value in kwargs.items()})
        result = _in_a_kernel(result, args) if traced else result
        return kwargs["out"] if kwargs.get("out") is not None else _wrap(result, Traced if traced else StrictArray)

    call.__name__ = name
    return call


def _operator(name, mirrored=False):
    function = getattr(operator, f"__{name}__")

    def apply(self, other):
        kind = Traced if _traced((self, other)) else StrictArray
        pair = (_host(other), self._host) if mirrored else (self._host, _host(other))
        result = function(*pair)
        return kind(_in_a_kernel(result, (self, other)) if kind is Traced else result)

    return apply


def _in_place(name):
    function = getattr(operator, f"__i{name}__")

    def apply(self, other):
        function(self._host, _host(other))
        return self

    return apply


def _unary(name):
    function = getattr(operator, f"__{name}__")
    return lambda self: type(self)(function(self._host))


def _method(name):
    def apply(self, *args, **kwargs):
        if isinstance(self, Traced):
            self._refuse()
        method = getattr(self._host, name)
        return _wrap(method(*map(_host, args), **{key: _host(value) for key, value in kwargs.items()}), StrictArray)

    return apply


def asarray(a, dtype=None):
    """The only way in."""
    return StrictArray(np.array(a._host if isinstance(a, StrictArray) else a, dtype=dtype))


def fuse(function):
    """`function` as one kernel: it may do no more than a fused one can."""

    def kernel(*args):
        result = function(*(Traced(a._host) if isinstance(a, StrictArray) else a for a in args))
        results = result if isinstance(result, tuple) else (result,)
        if not all(isinstance(r, Traced) for r in results):
            raise ValueError("a fused function returns an array or a tuple of arrays")
        done = tuple(StrictArray(r._host) for r in results)
        return done if isinstance(result, tuple) else done[0]

    return kernel


for _name in OPERATORS:
    setattr(StrictArray, f"__{_name}__", _operator(_name))
for _name in MIRRORED:
    setattr(StrictArray, f"__r{_name}__", _operator(_name, mirrored=True))
for _name in ("add", "sub", "mul", "truediv", "and", "or"):
    setattr(StrictArray, f"__i{_name}__", _in_place(_name))
for _name in ("neg", "invert", "abs"):
    setattr(StrictArray, f"__{_name}__", _unary(_name))
for _name in METHODS:
    setattr(StrictArray, _name, _method(_name))


class Namespace(SimpleNamespace):
    """Functions by name; hashable, as a module is."""

    __hash__ = object.__hash__


strict = Namespace(
    __name__="strict",
    ndarray=StrictArray,
    asarray=asarray,
    array=asarray,
    fuse=fuse,
    erf=_function("erf", special.erf, "out", elementwise=True),
    linalg=SimpleNamespace(**{n: _function(f"linalg.{n}", getattr(np.linalg, n), k) for n, k in LINALG.items()}),
    **{name: _function(name, getattr(np, name), "out dtype", elementwise=True) for name in UFUNCS},
    **{name: _function(name, getattr(np, name), keywords) for name, keywords in FUNCTIONS.items()},
    **{name: _function(name, getattr(np, name), "dtype") for name in CREATORS},
    **{name: getattr(np, name) for name in CONSTANTS},
)
