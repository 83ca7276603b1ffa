"""The examples of the README and of docs/torch.md run."""

import torch

from ..test_readme import README, ROOT, blocks


def test_the_readmes_example_runs(capsys):
    (source,) = [block for block in blocks(README, "python") if "gradlab.torch" in block]
    torch.manual_seed(0)
    names = {}
    exec(source, names)  # noqa: S102
    assert names["row"] is None and names["watch"].last.iteration == 10
    out = capsys.readouterr().out
    assert "1.l0/ln_share_100" in out and "over 20 iterations the loss came to" in out


def test_the_examples_of_the_page_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    names = {}
    for source in blocks((ROOT / "docs" / "torch.md").read_text("utf-8"), "python"):
        exec(source, names)  # noqa: S102
    assert (tmp_path / "run.zarr").exists() and names["ds"].sizes["snapshot"] == 3
