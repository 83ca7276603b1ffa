"""The examples in studies/examples: each on its own file and on another, and what is said of lines that are none."""

import pytest

from gradlab.errors import InputError
from studies.examples import spell, tagger, texts, translate
from studies.examples.characters import numbered, pairs

slow = pytest.mark.slow


@slow
def test_a_tagger_reads_both_ways(capsys):
    wrong = tagger.main()
    assert wrong["both directions"] < 0.05 and wrong["both directions"] < wrong["left to right"] < 0.15
    assert "both directions: " in capsys.readouterr().out


@slow
def test_a_label_from_a_text(capsys):
    assert texts.main() < 0.15
    said = capsys.readouterr().out
    assert said.count(": the soup was hardly stale") == 1 and said.startswith("Read reviews.csv as 170 texts")


@slow
def test_numbers_are_spelled_by_what_was_learnt_of_others(capsys):
    assert spell.main() >= 0.4
    assert "82 -> eighty two" in capsys.readouterr().out


@slow
def test_dates_are_translated_and_it_is_drawn_where_the_net_looks(tmp_path, capsys):
    assert translate.main(out=tmp_path / "a.html") > 0.9
    assert (
        "Attention" in (tmp_path / "a.html").read_text("utf-8") and "22 dec 01 -> 01-12-22" in capsys.readouterr().out
    )


@slow
def test_files_of_one_s_own(tmp_path, monkeypatch):
    lines = "".join(f"{a}{b},{b}{a}{b}\n" for a in "abcd" for b in "efgh")
    (tmp_path / "a.csv").write_text(lines)
    monkeypatch.setattr(translate, "UPDATES", 10)
    monkeypatch.setattr(spell, "UPDATES", 10)
    assert 0 <= translate.main(tmp_path / "a.csv", tmp_path / "a.html") <= 1
    assert 0 <= spell.main(tmp_path / "a.csv") <= 1


def test_lines_without_a_comma_are_named(tmp_path):
    (tmp_path / "a.csv").write_text("a,b\n\nc, d, e\nf\n")
    with pytest.raises(InputError, match="a.csv, line 4: expected two texts with a comma between, got 'f'"):
        pairs(tmp_path / "a.csv")
    (tmp_path / "a.csv").write_text("a,b\n\nc, d, e\n")
    assert pairs(tmp_path / "a.csv") == [("a", "b"), ("c", "d, e")]
    table, lengths = numbered(["ab", "b"], "xab")
    assert table.tolist() == [[1, 2], [2, 0]] and lengths.tolist() == [2, 1]
