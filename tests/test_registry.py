"""Registries: order, errors that name the nearest, and that everything registered is described."""

from importlib import import_module

import pytest

from gradlab.errors import InputError
from gradlab.registry import Registry, unknown

REGISTRIES = {
    "cells": "gradlab.cells:CELLS",
    "activations": "gradlab.cells.activations:ACTIVATIONS",
    "initializers": "gradlab.cells.initializers:INITIALIZERS",
    "update clipping": "gradlab.learning:UPDATE_MODES",
    "adjoint clipping": "gradlab.engine.step_clipping:STEP_MODES",
    "training clipping": "gradlab.learning:CLIPPERS",
    "optimizers": "gradlab.learning.optimizers:OPTIMIZERS",
    "schedules": "gradlab.learning.optimizers:SCHEDULES",
    "quantities": "gradlab.quantities:QUANTITIES",
    "presets": "gradlab.config.presets:PRESETS",
}
each_registry = pytest.mark.parametrize("path", REGISTRIES.values(), ids=REGISTRIES)


def load(path):
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)


def fruit():
    registry = Registry("fruit")

    @registry.register("cherry")
    def cherry():
        """Red.

        More of it.
        """

    registry.add("apple", cherry)
    return registry, cherry


def test_names_are_kept_in_the_order_of_registration():
    registry, cherry = fruit()
    assert list(registry) == ["cherry", "apple"]
    assert len(registry) == 2
    assert registry["apple"] is cherry
    assert "apple" in registry and "pear" not in registry
    assert registry.describe() == {"cherry": "Red.", "apple": "Red."}


def test_a_name_is_registered_once():
    registry, cherry = fruit()
    with pytest.raises(ValueError, match="fruit 'apple' is registered twice"):
        registry.add("apple", cherry)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("aple", "unknown fruit 'aple'. Did you mean 'apple'? Valid: cherry, apple"),
        ("xyz", "unknown fruit 'xyz'. Valid: cherry, apple"),
        (None, "unknown fruit 'None'. Valid: cherry, apple"),
        (["apple"], "unknown fruit \"['apple']\". Did you mean 'apple'? Valid: cherry, apple"),
    ],
)
def test_unknown_names(name, message):
    registry, _ = fruit()
    with pytest.raises(InputError) as caught:
        registry[name]
    assert str(caught.value) == message
    assert str(unknown("fruit", name, ["cherry", "apple"])) == message


def test_it_is_a_mapping_like_any_other():
    registry, cherry = fruit()
    assert (registry.get("pear"), registry.get("pear", 3), registry.get("apple")) == (None, 3, cherry)
    with pytest.raises(KeyError, match="^unknown fruit 'pear'"):  # not in the quotes of a KeyError
        registry["pear"]


def test_the_error_is_about_the_field_that_takes_the_name():
    for registry, field in ((Registry("fruit"), "fruit"), (Registry("ripe fruit", "dessert"), "dessert")):
        with pytest.raises(InputError) as caught:
            registry["pear"]
        assert caught.value.field == field
    assert unknown("fruit", "pear", []).field == "fruit"
    assert unknown("fruit", "pear", [], "dessert").field == "dessert"


@each_registry
def test_everything_registered_has_a_line_of_description(path):
    registry = load(path)
    assert len(registry) >= 2
    for name, line in registry.describe().items():
        assert name == name.lower().replace(" ", "_")
        assert len(line) > 5, name
