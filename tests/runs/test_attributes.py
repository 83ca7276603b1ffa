"""What a saved Dataset says of its run, as another version or tool or a hand wrote it: it works, or says why not."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import gradlab
from gradlab import plots, training
from gradlab.diagnosis import diagnose
from gradlab.plots.report import html_report, training_report
from gradlab.runs import attributes
from gradlab.runs.verdicts import verdict

ROOT = Path(__file__).parents[2]
SMALL = {"hidden_size": 8, "batch_size": 3, "steps": 20}
KNOWN = gradlab.RunConfig(**SMALL).model_dump()


@pytest.fixture(scope="module")
def measured():
    return gradlab.analyze(**SMALL)


@pytest.fixture(scope="module")
def trained():
    run = gradlab.train(task="adding", steps=12, hidden_size=6, batch_size=4, iterations=12, snapshot_every=4)
    return training.dataset(run), training.snapshot_dataset(run)


def saved(ds, tmp_path, **attrs):
    """With attributes set, or gone where they are None, written and read again."""
    changed = ds.assign_attrs(attrs)
    changed.attrs = {name: value for name, value in changed.attrs.items() if value is not None}
    changed.to_netcdf(tmp_path / "run.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "run.nc", engine="h5netcdf") as read:
        return read.load()


# the configuration

OTHER = {
    "a field more": (json.dumps(KNOWN | {"noise_level": 0.1}), "noise_level: unknown field 'noise_level'"),
    "a cell that is gone": (json.dumps(KNOWN | {"cell": "ntm"}), "cell: unknown cell 'ntm'"),
    "a value of another kind": (json.dumps(KNOWN | {"gain": "large"}), "gain: expected a number, got 'large'"),
    "broken JSON": ('{"cell": "elman"', 'expected a JSON object as gradlab writes it, got \'{"cell": "elman"\''),
    "a list": ("[1, 2]", r"expected a JSON object as gradlab writes it, got '\[1, 2\]'"),
    "a number": (3.5, "expected a JSON object as gradlab writes it, got .*3.5"),
}


@pytest.mark.parametrize("kind", OTHER)
def test_a_configuration_that_cannot_be_read_costs_the_trials_only(measured, tmp_path, kind):
    written, why = OTHER[kind]
    ds = saved(measured, tmp_path, config=written)
    found, plain = diagnose(ds), diagnose(measured)
    assert (found.word, found.cause, found.factors) == (plain.word, plain.cause, plain.factors)
    assert found.remedies and all(remedy.change.transform for remedy in found.remedies)
    assert found.untried.startswith("Remedies change the weights as they are and were not run, as the Dataset's ")
    assert re.search(why, found.untried) and "pydantic" not in found.untried
    assert found.untried == str(found).splitlines()[-1] and "<p>Remedies change" in found._repr_html_()
    page = html_report(ds, verdict(ds).headline, [])
    assert "As a command" not in page and "<h2>Configuration</h2><p>the Dataset" in page
    plots.explore(ds, pins=[measured])


def test_another_version_is_named(measured):
    versions = json.dumps({"gradlab": "7.1"})
    ds = measured.assign_attrs(config=json.dumps(KNOWN | {"noise_level": 0.1}), versions=versions)
    assert f"is none of gradlab {gradlab.__version__}, but of 7.1: noise_level" in diagnose(ds).untried
    assert f"is none of gradlab {gradlab.__version__}: noise" in diagnose(ds.assign_attrs(versions="{")).untried


def test_a_carried_gradient_needs_no_remedies(measured):
    carried = gradlab.analyze(**SMALL, activation="identity", recurrent_init="orthogonal")
    assert diagnose(carried.assign_attrs(config="{")).untried == ""


def test_what_is_set_as_an_object_is_read_as_one(measured):
    ds = measured.assign_attrs(config=KNOWN, overflow=[], versions={"gradlab": "1"})
    assert str(diagnose(ds)) == str(diagnose(measured))
    assert attributes.config_of(ds, gradlab.RunConfig) == gradlab.RunConfig(**SMALL)


# the other attributes


@pytest.mark.parametrize(
    "name", ["overflow", "versions", "config", "cell", "cell_name", "activation", "dtype", "title"]
)
@pytest.mark.slow
def test_an_attribute_that_is_gone(measured, tmp_path, name):
    ds = saved(measured, tmp_path, **{name: None})
    assert verdict(ds).word == verdict(measured).word
    assert diagnose(ds).word == diagnose(measured).word
    html_report(ds, "headline", [])
    plots.explore(ds, pins=[ds])


def test_without_any_attribute(measured):
    bare = measured.drop_attrs()
    assert "mean slope of the activation" in verdict(bare).why
    assert diagnose(bare).word == "vanishing"
    html_report(bare, "headline", [])


@pytest.mark.parametrize("written", ["[{", "{}", "7", '[{"step": 3}]', "[7]", 1.5, "[" * 100_000], ids=range(7))
def test_an_overflow_that_cannot_be_read(measured, tmp_path, written):
    ds = saved(measured, tmp_path, overflow=written)
    for read in (verdict, diagnose):
        with pytest.raises(gradlab.InputError, match=r"attribute 'overflow': expected .*; set it anew or remove it"):
            read(ds)


def test_other_attributes_that_cannot_be_read(measured):
    page = html_report(measured.assign_attrs(versions="one"), "headline", [])
    assert '<th scope="row">as written</th><td>one</td>' in page
    with pytest.raises(gradlab.InputError, match="attribute 'dtype': expected float32 or float64, got 'float128x'"):
        attributes.precision(measured.assign_attrs(dtype="float128x"))
    with pytest.raises(gradlab.InputError, match="attribute 'baseline': expected a number, got 'low'"):
        attributes.number_of(measured.assign_attrs(baseline="low"), "baseline")
    assert attributes.number_of(measured.assign_attrs(baseline=np.float32(2)), "baseline") == 2
    assert attributes.number_of(measured, "baseline") is None


# trainings


@pytest.mark.parametrize("kind", ["gone", *OTHER])
def test_a_training_whose_configuration_cannot_be_read_is_drawn(trained, tmp_path, kind):
    run, look = trained
    other = json.loads(run.attrs["config"]) | {"cell": "ntm", "noise_level": 0.1, "iterations": "many"}
    written = {"gone": None, "a field more": json.dumps(other)}.get(kind, OTHER.get(kind, (None,))[0])
    ds = saved(run, tmp_path, config=written)
    if kind in ("gone", "a field more", "a cell that is gone", "a value of another kind"):
        plots.training_course(ds)
        page = training_report([ds, run], [look.drop_attrs()], "headline", [])
        assert ("<h2>Configuration of" in page) and ("noise_level: unknown field" in page) == (kind == "a field more")
        return
    with pytest.raises(gradlab.InputError, match="attribute 'config': expected a JSON object"):
        plots.training_course(ds)


def test_a_training_without_any_attribute_is_drawn(trained):
    bare = trained[0].drop_attrs()
    plots.training_course(bare, [trained[0]])
    assert plots.course_table([bare])[0]["baseline"] == ""
    training_report([bare, bare], [], "headline", [])


# who reads


def test_a_verdict_needs_the_curve_and_a_diagnosis_the_factors(measured, trained):
    for wrong in (None, {}, xr.Dataset(), measured.drop_vars("valid_steps")):
        with pytest.raises(gradlab.InputError, match=r"verdict: expected a Dataset of gradlab\.analyze, got"):
            verdict(wrong)
    assert verdict(trained[1]).word
    with pytest.raises(gradlab.InputError, match=r"diagnose: this Dataset lacks jacobian_spectral, .*; make it with"):
        diagnose(trained[1])
    assert verdict(measured.drop_vars("path_share")).why == ""


def test_one_file_reads_what_a_run_says_of_itself(measured, trained):
    names = "|".join({*measured.attrs, *trained[0].attrs, "weights", "label"})
    reading = re.compile(rf"""\.attrs(\[|\.get\()["']({names})["']([,)]|\](?! = ))|["']({names})["'] in \w+\.attrs""")
    files = (path for room in ("gradlab", "studies") for path in (ROOT / room).rglob("*.py"))
    readers = {path.name for path in files if reading.search(path.read_text("utf-8"))}
    assert readers <= {"attributes.py"}
    assert reading.search('x = ds.attrs["config"]') and reading.search("run.attrs.get('label', 1)")
    assert not reading.search('dataset.attrs["config"] = config')
