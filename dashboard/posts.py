"""What a browser sends, checked once and in one place: callbacks get what their annotations say.

A post that names no callback, or holds anything else, is answered with 400 and a sentence, and logged. What fails in a
callback after that is a defect of the app.
"""

import inspect
import json
import logging
import math
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Annotated, Any, Literal, TypeVar, get_type_hints

from dash import Dash
from dash.exceptions import DependencyException
from flask import Response, request
from pydantic import AfterValidator, BaseModel, Field, TypeAdapter, ValidationError
from werkzeug.exceptions import BadRequest

from gradlab.errors import InputError, echo

PATH = "/_dash-update-component"
DEEPEST = 20  # lists and mappings inside one another
LONGEST = 20_000  # letters of a text that is no file: of an address with all its pins
log = logging.getLogger(__name__)
R = TypeVar("R")


def _plain(value: Any) -> Any:
    """A number, a text, a switch's state or nothing: what a control can hold."""
    if isinstance(value, str) and len(value) <= LONGEST:
        value.encode()  # a lone surrogate is no text
    elif not (value is None or (isinstance(value, bool | int | float) and abs(value) < math.inf)):
        raise ValueError("expected a number, a text, a switch or nothing")
    return value


Text = Annotated[str, Field(max_length=LONGEST)]
Plain = Annotated[Any, AfterValidator(_plain)]
Raw = dict[Text, Plain]  # of a form: raw values of the controls by key
Clicks = int | None
Theme = Literal["light", "dark"]
Entries = list[dict[Text, Text]] | None  # of a choice


class Refused(BadRequest):
    """A post that no page of the app sends."""


class Place(BaseModel):
    """A property of a component, and what it holds."""

    id: Text | dict[Text, Text | int]
    property: Text
    value: Any = None


class Post(BaseModel):
    """A call of a callback."""

    output: Text
    outputs: Place | list[Place]
    inputs: list[Place | list[Place]]
    state: list[Place | list[Place]] = []
    changedPropIds: list[Text] = []


def read(adapter: TypeAdapter[Any], value: Any, name: str) -> Any:
    """`value` as its type; Refused, with what is wrong in it, where it is something else."""
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        wrong = error.errors()[0]
        place = echo(".".join(map(str, (name, *wrong["loc"]))))
        raise Refused(f"in {place}: {wrong['msg']}, got {echo(wrong['input'])}") from None


def checked(function: Callable[..., R]) -> Callable[..., R]:
    """The function, called with what its annotations say: raises Refused for anything else."""
    signature, hints = inspect.signature(function), get_type_hints(function, include_extras=True)
    adapters = {name: TypeAdapter(hints.get(name, Any)) for name in signature.parameters}

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> R:
        given = signature.bind(*args, **kwargs)
        for name, value in given.arguments.items():
            given.arguments[name] = read(adapters[name], value, name)
        return function(*given.args, **given.kwargs)

    return call


class CheckedDash(Dash):
    """A Dash whose callbacks are `checked`, and whose posts are."""

    def callback(self, *args: Any, **kwargs: Any) -> Callable[..., Any]:
        """As Dash has it."""
        register = super().callback(*args, **kwargs)
        return lambda function: register(checked(function))


_POST = TypeAdapter(Post)


def register(app: Dash) -> None:
    """Check what is posted, and answer what cannot be read with a sentence."""

    def check() -> None:
        if request.method == "POST" and request.path == PATH:
            require_callback(read(_POST, _body(), "the post"), app.callback_map)

    app.server.before_request(check)
    app.server.register_error_handler(BadRequest, lambda error: _refusal(str(error.description)))
    app.server.register_error_handler(InputError, lambda error: _refusal(str(error)))
    app.server.register_error_handler(DependencyException, lambda error: Response("There is no such file.\n", 404))


def _body() -> Any:
    try:
        body = request.get_json()
    except RecursionError:
        body = None
    if body is None or not _is_shallow(body, DEEPEST):
        raise Refused("values are nested too deeply")
    return body


def _is_shallow(value: Any, left: int) -> bool:
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return left > 0 and all(_is_shallow(part, left - 1) for part in inside)


def _refusal(text: str) -> Response:
    log.warning("refused a post: %s", text)
    return Response(f"gradlab cannot use what was sent: {text}\n", 400, mimetype="text/plain")


def require_callback(post: Post, callbacks: Mapping[str, Mapping[str, Any]]) -> None:
    """Raise Refused unless the post has the outputs, inputs and state of a callback, and no others."""
    known = callbacks.get(post.output, {})
    outputs = post.outputs if isinstance(post.outputs, list) else [post.outputs]
    names = [f"{place.id}.{place.property.partition('@')[0]}" for place in outputs]
    if "callback" not in known or names != [name.partition("@")[0] for name in _names(post.output)]:
        raise Refused(f"no callback has the output {echo(post.output)}")
    for given, declared in ((post.inputs, known["inputs"]), (post.state, known["state"])):
        if len(given) != len(declared) or not all(map(_is_at, given, declared)):
            raise Refused(f"the callback of {echo(post.output)} has other inputs")
    there = [[place.id, place.property] for given in post.inputs for place in _list(given)]
    if not all(_split(name) in there for name in post.changedPropIds):
        raise Refused(f"what has changed is no input of {echo(post.output)}")


def _names(output: str) -> list[str]:
    return output[2:-2].split("...") if output.startswith("..") else [output]


def _list(given: Place | list[Place]) -> list[Place]:
    return given if isinstance(given, list) else [given]


def _is_at(given: Place | list[Place], declared: Mapping[str, str]) -> bool:
    """Whether what was given is what a callback declares: one property, or a list of those that fit a pattern."""
    pattern = json.loads(declared["id"]) if declared["id"].startswith("{") else declared["id"]
    fits = isinstance(given, list) == isinstance(pattern, dict)
    return fits and all(p.property == declared["property"] and _fits(p.id, pattern) for p in _list(given))


def _fits(component: str | Mapping[str, Any], pattern: Any) -> bool:
    if isinstance(component, str) or isinstance(pattern, str):
        return bool(component == pattern)
    return component.keys() == pattern.keys() and all(pattern[key] in (["ALL"], component[key]) for key in pattern)


def _split(changed: str) -> list[Any]:
    component, _, name = changed.rpartition(".")
    try:
        return [json.loads(component) if component.startswith("{") else component, name]
    except (ValueError, RecursionError):
        raise Refused(f"{echo(changed)} is no property of a component") from None
