"""The rules that hold for every room of gradlab hold for this one."""

from ..test_imports import ROOT, require_names_apart


def test_no_name_hides_a_file():
    require_names_apart(ROOT / "gradlab" / "torch")
