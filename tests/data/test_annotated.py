"""Texts with answers: what is read, in every dialect, and what is said of lines that are none."""

import pytest

from gradlab.data import Vocabulary, annotated, labelled_texts, tagged_sentences
from gradlab.data.tokens import words_of
from gradlab.errors import InputError

TAGGED = "the\tDET\ndog\tNOUN\n\nit PRON\nbarks  VERB\n. PUNCT\n"


@pytest.fixture(name="write")
def written(tmp_path):
    def write(content, name="a.txt"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


# tagged sentences


@pytest.mark.parametrize(
    "content",
    [
        TAGGED,
        "\n\n" + TAGGED.replace("\n\n", "\n \t \n\n\n"),
        TAGGED.replace("\n", "\r\n"),
        TAGGED.replace("\n", "\r"),
        "\ufeff" + TAGGED.rstrip(),
        TAGGED.encode("utf-16"),
    ],
)
def test_sentences_end_at_empty_lines(write, content):
    found = tagged_sentences(write(content))
    assert found.texts == [["the", "dog"], ["it", "barks", "."]]
    assert found.answers == [["DET", "NOUN"], ["PRON", "VERB", "PUNCT"]]
    assert found.said == "Read a.txt as 2 sentences of 5 words with 5 tags"


def test_of_several_columns_the_last_is_the_tag(write):
    found = tagged_sentences(write("EU NNP B-ORG\nrejects VBZ O\n"))
    assert found.answers == [["B-ORG", "O"]] and found.said.endswith("2 tags, the last of 3 columns as tags")


def test_a_word_may_hold_blanks_where_tabs_separate(write):
    assert tagged_sentences(write("New York\tPLACE\nis\tVERB\n")).texts == [["New York", "is"]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "a.txt: the file is empty"),
        ("\n \n", "no sentence in it; expected a word and its tag on every line"),
        (
            "the DET\ndog\n",
            "line 2: expected a word and its tag with a blank or a tab between, got 'dog'; write both, or leave",
        ),
        ("the\t\n", "line 1: expected a word and its tag"),
        ("\tDET\n", "line 1: expected a word and its tag"),
        ("a DET\n\nthe DET x\n", "line 3 has 3 columns, line 1 has 2"),
        ("a DET\n" + "x" * 140_000 + " Y\n", "line 2 has 140,002 characters; expected at most 131,072"),
        (b"a\0b DET\n", "not text: it holds null characters"),
    ],
)
def test_lines_that_have_no_tag(write, content, message):
    with pytest.raises(InputError, match=message) as told:
        tagged_sentences(write(content))
    assert told.value.field == "input"


# labelled texts


@pytest.mark.parametrize(
    ("content", "texts"),
    [
        ("good\tI liked it\nbad\tno, never\n", [["i", "liked", "it"], ["no", ",", "never"]]),
        ("good,I liked it\nbad,no, never\n", [["i", "liked", "it"], ["no", ",", "never"]]),
        ('good,I liked it\nbad,"no, never"\n', [["i", "liked", "it"], ["no", ",", "never"]]),
        (
            'label,text\ngood, "I liked it"\n\nbad,"no, ""never"""\n',
            [["i", "liked", "it"], ["no", ",", '"', "never", '"']],
        ),
        ("\nlabel,text\ngood,I liked it\nbad,no\n", [["i", "liked", "it"], ["no"]]),
        (" \r\n\r\nClass\tText\r\ngood\tI liked it\r\nbad\tno\r\n", [["i", "liked", "it"], ["no"]]),
        ("Sentiment\tText\r\ngood\tI liked it\r\nbad\tno\r\n", [["i", "liked", "it"], ["no"]]),
    ],
)
def test_texts_of_every_dialect(write, content, texts):
    found = labelled_texts(write(content, "a.csv"))
    assert found.texts == texts and found.answers == [["good"], ["bad"]]
    assert found.said.startswith("Read a.csv as 2 texts of ") and found.said.endswith(" words with 2 labels")


def test_words_are_small_letters_and_other_signs_stand_alone():
    assert list(words_of("It’s NOT 3.5 o'clock!")) == ["it’s", "not", "3", ".", "5", "o'clock", "!"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "a.csv: the file is empty"),
        ("\n\n", "no text in it; expected a label and a text on every line"),
        ("good,fine\nbad\n", "line 2: expected a label and a text with a comma or a tab between, got 'bad'"),
        ("good\tfine\n\nbad,x\n", "line 3: expected a label and a text with a tab between, got 'bad,x'"),
        ("good,fine\n,x\n", "line 2: the label is empty; write both"),
        ("good,fine\nbad, \n", "line 2: the text is empty; write both"),
        ('good,fine\nbad,"x\ny\n', "line 2 is not CSV: unexpected end of data; quotes stand around a whole text"),
        ('good,"fine" day\n', "line 1 is not CSV: "),
    ],
)
def test_lines_that_have_no_label(write, content, message):
    with pytest.raises(InputError, match=message) as told:
        labelled_texts(write(content, "a.csv"))
    assert told.value.field == "input"


@pytest.mark.parametrize(("read", "line"), [(tagged_sentences, "a X\n"), (labelled_texts, "x,a\n")])
def test_too_many_words_and_too_many_bytes(write, monkeypatch, read, line):
    monkeypatch.setattr(annotated, "MOST_WORDS", 10)
    assert read(write(10 * line))
    with pytest.raises(InputError, match="more than 10 words; leave some of the file out"):
        read(write(11 * line))
    monkeypatch.setattr(annotated, "LIMIT", 3)
    with pytest.raises(InputError, match="data may have 0 MB"):
        read(write(line))


# vocabulary


def test_a_vocabulary_holds_what_occurs_twice_the_most_frequent_first(monkeypatch):
    texts = [["a", "b", "c"], ["c", "b", "c"]]
    found = Vocabulary(texts)
    assert found.words == ["unknown", "c", "b"] and len(found) == 3
    assert found.codes(["a", "b", "x", "c", "unknown"]).tolist() == [0, 2, 0, 1, 0]
    monkeypatch.setattr(annotated, "VOCABULARY", 1)
    assert Vocabulary(texts).words == ["unknown", "c"]
