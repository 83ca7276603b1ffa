"""What costs more than the run itself: within a budget, in full where it is asked for, left out on request."""

import numpy as np
import pytest

import gradlab
from gradlab.errors import InputError
from gradlab.quantities import QUANTITIES, costly

RUN = {"steps": 12, "batch_size": 4, "hidden_size": 6}


def budget(monkeypatch, jacobians):
    """Pay for so many spectral norms of a run of 6 units, and not for eigenvalues."""
    monkeypatch.setattr(costly, "SHARE", 0.0)
    monkeypatch.setattr(costly, "LEAST", (jacobians + 0.5) * costly.SPECTRAL_COST * 36)
    monkeypatch.setattr(costly, "EIGENVALUE_COST", 1e9)


def test_a_small_run_has_everything():
    ds = gradlab.analyze(**RUN)
    assert not ds.jacobian_spectral.isnull().any()
    assert not ds.recurrent_eigenvalues.isnull().any()
    assert (ds.jacobian_spectral.attrs["samples"], ds.jacobian_spectral.attrs["every"]) == (4, 1)


@pytest.mark.parametrize(("jacobians", "samples", "every"), [(47, 3, 1), (25, 2, 1), (12, 1, 1), (4, 1, 3), (1, 1, 12)])
def test_as_many_samples_as_the_budget_allows_then_as_many_steps(monkeypatch, jacobians, samples, every):
    whole = gradlab.analyze(**RUN).jacobian_spectral
    budget(monkeypatch, jacobians)
    part = gradlab.analyze(**RUN).jacobian_spectral
    assert (part.attrs["samples"], part.attrs["every"]) == (samples, every)
    known = np.zeros((12, 4), dtype=bool)
    known[::every, :samples] = True
    assert (part.notnull().transpose("step", "sample").values == known).all()
    np.testing.assert_allclose(part.values[known], whole.values[known], rtol=2e-2)
    assert part.notnull().sum() <= jacobians


def test_in_full_on_request(monkeypatch):
    budget(monkeypatch, 1)
    ds = gradlab.analyze(**RUN, record=["jacobian_spectral", "recurrent_eigenvalues"])
    assert not ds.jacobian_spectral.isnull().any()
    assert not ds.recurrent_eigenvalues.isnull().any()
    assert not ds.spectral_radius.isnull().any()


def test_eigenvalues_that_are_too_costly_are_missing_and_everything_else_works(monkeypatch):
    budget(monkeypatch, 1)
    ds = gradlab.analyze(**RUN)
    assert ds.recurrent_eigenvalues.isnull().all() and ds.spectral_radius.isnull().all()
    texts = [note.text for note in gradlab.plots.FIGURES["weights"](ds).layout.annotations]
    assert any("left out for their cost" in text for text in texts)
    largest = next(t for t in gradlab.plots.explore(ds).data if (t.name or "").startswith("largest possible"))
    assert len(largest.y) == 1  # what is not known leaves no gap in the line
    assert gradlab.diagnose(ds).verdict.word == gradlab.verdict(ds).word


def test_each_quantity_can_be_left_out():
    assert "jacobian_spectral" not in gradlab.analyze(**RUN, without=["jacobian_spectral"])
    for name in QUANTITIES:
        assert name not in gradlab.analyze(**RUN, without=[name]), name


def test_what_is_left_out_costs_nothing(monkeypatch):
    monkeypatch.setattr(np.linalg, "eigvals", lambda w: pytest.fail("eigenvalues were computed"))
    gradlab.analyze(**RUN, without=["recurrent_eigenvalues", "spectral_radius"])


def test_names_are_checked_before_the_work():
    with pytest.raises(
        InputError, match="unknown quantity 'jacobian_spectrum'. Did you mean 'jacobian_spectral'?"
    ) as e:
        gradlab.analyze(**RUN, without=["jacobian_spectrum"])
    assert e.value.field == "without"
    with pytest.raises(InputError, match="unknown recording 'eigenvalues'"):
        gradlab.analyze(**RUN, record=["eigenvalues"])


def test_the_longest_samples_are_chosen(monkeypatch):
    cell = gradlab.make_cell("elman", input_size=2, hidden_size=6)
    x, lengths = np.random.default_rng(0).normal(size=(12, 4, 2)), np.array([3, 12, 0, 12])
    budget(monkeypatch, 25)
    norms = gradlab.analyze(cell=cell, params=cell.init(0), x=x, lengths=lengths).jacobian_spectral
    assert norms.notnull().all("step").values.tolist() == [False, True, False, True]
    assert norms.attrs["samples"] == 2
