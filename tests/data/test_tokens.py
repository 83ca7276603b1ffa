"""Texts as words and bytes: which there are, how they are counted, and what is none."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradlab.data import is_treebank, numbered, text_tokens, tokens, vocabulary_text
from gradlab.data.tokens import UNKNOWN, WORDS, words_of
from gradlab.errors import InputError

TEXT = "The fox didn't jump. The dog -- the lazy dog -- did.\nÜber 3.5 €!\n"


@pytest.fixture(name="text")
def file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text(TEXT, encoding="utf-8")
    return path


def test_words_and_marks_in_lower_case():
    found = list(words_of(TEXT))
    assert found[:6] == ["the", "fox", "didn't", "jump", ".", "the"]
    assert found[-6:] == ["über", "3", ".", "5", "€", "!"]


def test_words_are_numbered_by_how_often_they_occur(text):
    found = text_tokens(text, "word")
    assert found.vocabulary[:3] == ["-", "the", "."] and UNKNOWN not in found.vocabulary
    assert [found.vocabulary[i] for i in found.ids] == list(words_of(TEXT))
    counts = np.bincount(found.ids)
    assert (np.diff(counts) <= 0).all() and len(counts) == len(found.vocabulary)
    assert found.said == f"Read a.txt as text: 22 words, {len(counts)} different"


def test_the_rest_of_a_large_vocabulary_is_unknown():
    ids, vocabulary = numbered(["a", "b", "c", "a", "b", "a", "d"], most=2)
    assert vocabulary == [UNKNOWN, "a", "b"] and ids.tolist() == [1, 2, 0, 1, 2, 1, 0]
    ids, vocabulary = numbered(["a", "b", "c"], most=3)
    assert vocabulary == ["a", "b", "c"] and ids.tolist() == [0, 1, 2]


def test_what_is_unknown_is_said(tmp_path):
    often, seldom = (" ".join(f"{kind}{n}" for n in range(count)) for kind, count in (("a", WORDS), ("b", 500)))
    (tmp_path / "b.txt").write_text(f"{often} {often} {seldom}")
    found = text_tokens(tmp_path / "b.txt", "word")
    assert found.vocabulary[:2] == [UNKNOWN, "a0"] and len(found.vocabulary) == WORDS + 1
    told = "4,500 words, the 2,000 most frequent ones by name and the rest, 11 % of all, as 'unknown'"
    assert found.said == f"Read b.txt as text: {told}"
    assert vocabulary_text(np.array([0, 1]), [UNKNOWN, "b"]) == "2 different"


def test_bytes(text):
    found, data = text_tokens(text, "byte"), TEXT.encode()
    assert len(found.vocabulary) == len(set(data)) and "0xc3" in found.vocabulary
    assert [found.vocabulary[i] for i in found.ids[:3]] == ["T", "h", "e"]
    assert found.said == f"Read a.txt as text: {len(data)} bytes, {len(set(data))} different"


def test_windows_are_words_in_a_row_from_different_starts(text):
    found = text_tokens(text, "word")
    x = found.windows(5, 8, seed=1)
    assert x.shape == (5, 8) and x.dtype == np.int64
    rows = {tuple(found.ids[i : i + 5]) for i in range(len(found.ids))}
    assert {tuple(column) for column in x.T} <= rows and len({tuple(column) for column in x.T}) == 8
    np.testing.assert_array_equal(x, found.windows(5, 8, seed=1))
    assert not np.array_equal(x, found.windows(5, 8, seed=2))
    with pytest.raises(InputError, match="the data have 22 steps, fewer than the 25 asked for; use 22 or less"):
        found.windows(25, 1)


@given(st.text(alphabet="ab 'É.\n", min_size=1, max_size=40))
def test_whatever_the_text_numbers_and_words_agree(text):
    words = list(words_of(text))
    if not words:
        with pytest.raises(InputError, match="no word in it"):
            numbered(words)
        return
    ids, vocabulary = numbered(words, most=3)
    assert len(set(vocabulary)) == len(vocabulary) <= 4
    assert all(vocabulary[i] in (word, UNKNOWN) for i, word in zip(ids, words, strict=True))


@pytest.mark.parametrize(
    ("data", "name", "column", "message"),
    [
        (b"", "a.txt", None, "a.txt: the file is empty"),
        (b" \n\t ", "a.txt", None, "a.txt: no word in it; read it as characters or bytes"),
        (b"caf\xe9 au lait", "a.txt", None, "a.txt: not UTF-8 text: byte 3 is 0xe9"),
        (b"1,2\n2,3\n4,5\n", "a.csv", None, "a.csv: expected a text"),
        (b"some words", "a.txt", "x", "a.txt: column 'x' was asked for, but text has no columns"),
    ],
)
def test_what_is_no_text_of_words(data, name, column, message, tmp_path):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match=message):
        text_tokens(tmp_path / name, "word", column)
    with pytest.raises(InputError, match="file not found"):
        text_tokens(tmp_path / "none.txt", "word")


def test_too_many_words(monkeypatch):
    monkeypatch.setattr(tokens, "DIFFERENT", 3)
    with pytest.raises(InputError, match="more than 3 different words; read it as characters or bytes"):
        numbered(["a", "b", "c", "d"])
    monkeypatch.setattr(tokens, "VALUES", 4)
    with pytest.raises(InputError, match="more than 4 words; cut the file, or read it as characters or bytes"):
        numbered(["a", "b", "a", "b", "a", "b", "a"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("(3 (2 It) (4 works))\n", True),
        ("\n  (a (b ,) (c .))\n(a b)\n", True),
        ("(0 (1 ,) (2 ;))\n(0 (1 ,) (2 ;))\n(3 (2 1,5) (4 2,5))\n", True),
        ("It (really) works\n", False),
        ("", False),
    ],
)
def test_a_text_that_begins_with_a_bracket_holds_trees(text, expected, tmp_path):
    (tmp_path / "a.txt").write_text(text)
    assert is_treebank(tmp_path / "a.txt") is expected
    assert not is_treebank(tmp_path / "none.txt")
