"""Tables as people have them: every kind reads as the same columns, and one line says how."""

import io
import math
import sys
import zipfile

import numpy as np
import pytest

from gradlab.data import column_names, parse, raw_series
from gradlab.data.encodings import as_utf8
from gradlab.errors import InputError

RNG = np.random.default_rng(5)
TEMP, LOAD = 15 + RNG.normal(size=60).round(2), 1500 + (300 * RNG.normal(size=60)).round(1)
STAMPS = [f"2024-03-{1 + n // 24:02d} {n % 24:02d}:00:00" for n in range(60)]


def table(separator=",", head="time,temp,load", text=str, stamps=STAMPS) -> str:
    rows = [separator.join([stamp, text(t), text(x)]) for stamp, t, x in zip(stamps, TEMP, LOAD, strict=True)]
    return "\n".join([head.replace(",", separator), *rows]) + "\n"


def quoted(value) -> str:
    return f'"{value:,.2f}"'


PLAIN = table()
KINDS = {
    "plain": (PLAIN, "(commas)"),
    "decimal commas": (table(";", text=lambda v: f"{v}".replace(".", ",")), "(semicolons, decimal commas)"),
    "points between thousands": (
        table(";", text=lambda v: f"{v:,.2f}".translate({44: 46, 46: 44})),
        "(semicolons, decimal commas)",
    ),
    "tabs and commas": (table("\t", text=lambda v: f"{v}".replace(".", ",")), "(tabs, decimal commas)"),
    "bars": (table("|"), "(bars)"),
    "sep line": ("sep=;\n" + table(";"), "(semicolons)"),
    "quoted thousands": (table(text=quoted), "(commas)"),
    "blanks between thousands": (table(";", text=lambda v: f"{v:,.2f}".replace(",", "\u00a0")), "(semicolons)"),
    "apostrophes": (table(text=lambda v: f"{v:,.2f}".replace(",", "'")), "(commas)"),
    "units in cells": (table(text=lambda v: f"{v} \u00b0C"), "(commas)"),
    "currency": (table(text=lambda v: f"${v}"), "(commas)"),
    "percent": (table(text=lambda v: f"{v}%"), "(commas)"),
    "units row": (PLAIN.replace("load\n", "load\ns,degC,MW\n"), "without line 2 (s, degC, MW)"),
    "three headers": (
        PLAIN.replace("load\n", "load\nDAYS,BARS,SM3/DAY\n,well-a,well-b\n"),
        "without line 2 (DAYS, BARS, SM3/DAY), line 3 (well-a, well-b)",
    ),
    "title": ("Logger 7 of 12\n\n" + PLAIN, "without line 1 (Logger 7 of 12)"),
    "comments": ("# station: 12\n% unit: K\n" + PLAIN, "(commas)"),
    "comment within": (PLAIN.replace("\n2024-03-02 05", "\n# replaced\n2024-03-02 05"), "without 1 comment line"),
    "names in a comment": (PLAIN.replace("time,", "# time,"), "(commas)"),
    "empty column": (PLAIN.replace("\n", ",\n"), "'3' (empty)"),
    "separators that end rows only": (PLAIN.replace("\n", ",\n").replace("load,", "load"), "'3' (empty)"),
    "carriage returns": (PLAIN.replace("\n", "\r"), "(commas)"),
    "windows": (PLAIN.replace("\n", "\r\n"), "(commas)"),
}


@pytest.mark.parametrize(("text", "said"), KINDS.values(), ids=KINDS)
def test_every_kind_of_table_reads_as_its_numbers(text, said, tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(text.encode())
    content = raw_series(path)
    assert content.names == ["temp", "load"]
    np.testing.assert_array_equal(content.values, np.stack([TEMP, LOAD], axis=1))
    assert content.said.startswith("Read a.csv as a table") and said in content.said
    assert "60 rows of 'temp', 'load'" in content.said and "'time' (time stamp)" in content.said


@pytest.mark.parametrize(
    ("encoding", "said"),
    [
        ("utf-8-sig", ""),
        ("utf-16", "UTF-16"),
        ("utf-16-le", "UTF-16"),
        ("utf-16-be", "UTF-16"),
        ("utf-32", "UTF-32"),
        ("latin-1", "cp1252"),
        ("cp1252", "cp1252"),
    ],
)
def test_encodings(encoding, said):
    head = "Zeit,Temperatur (\u00b0C),Gr\u00f6\u00dfe der Last"
    series = parse("a.csv", table(head=head).encode(encoding))
    assert "'Temperatur (\u00b0C)', 'Gr\u00f6\u00dfe der Last'" in series.said and said in series.said


@pytest.mark.parametrize("name", ["a.tsv", "a.dat", "a.txt", "a", "a.out"])
@pytest.mark.parametrize("separator", ["\t", ",", "   "])
def test_a_table_is_a_table_whatever_its_name(name, separator):
    text = table(separator, stamps=[str(n) for n in range(60)])
    assert parse(name, text.encode()).said.endswith("60 rows of 'temp', 'load'; left out: 'time' (counter 0, 1, 2 ...)")


@pytest.mark.parametrize(
    "text",
    [
        "\n".join(f"roses are red {n}" for n in range(30)),
        "It was the best of times,\nit was the worst of times.\n" * 20,
        '[{"t":0,"v":1.5}]' * 50,
        "a,b\n1,2\n",
        "3.14159",
    ],
)
def test_prose_is_text(text):
    said = parse("a.txt", text.encode()).said
    assert said.startswith(f"Read a.txt as text: {len(text):,} bytes, {len(set(text))} different ones")


def test_pandas_columns_without_names():
    frame = ",0,1\n" + "".join(f"{n},{t},{x}\n" for n, (t, x) in enumerate(zip(TEMP, LOAD, strict=True)))
    assert parse("a.csv", frame.encode()).said.endswith(
        "60 rows of '0', '1'; left out: 'column 0' (counter 0, 1, 2 ...)"
    )
    bare = "0,1\n" + "".join(f"{t:.3f},{x:.3f}\n" for t, x in zip(TEMP, LOAD, strict=True))
    assert len(parse("a.csv", bare.encode()).rows) == 60


def test_names_of_rows_as_r_writes_them():
    text = "temp load\n" + "".join(f'"{n}" {t} {x}\n' for n, (t, x) in enumerate(zip(TEMP, LOAD, strict=True), 1))
    assert "60 rows of 'temp', 'load'" in parse("a.csv", text.replace('"', "").encode()).said


# what is a feature


def columns(**cells) -> bytes:
    rows = zip(*cells.values(), strict=True)
    return "\n".join([",".join(cells), *(",".join(map(str, row)) for row in rows)]).encode()


MANY = range(50)
ORDERED = {
    "from zero": list(MANY),
    "from one": [n + 1 for n in MANY],
    "in tens": [10 * n for n in MANY],
    "backwards": [100 - n for n in MANY],
    "seconds, rounded": [round(n / 30, 3) for n in MANY],
    "epoch": [1709251200 + 1800 * n for n in MANY],
}


@pytest.mark.parametrize("cells", ORDERED.values(), ids=ORDERED)
def test_a_counter_is_no_feature_by_itself_yet_can_be_chosen(cells):
    data = columns(k=cells, v=TEMP[:50])
    assert f"50 rows of 'v'; left out: 'k' (counter {cells[0]:.15g}, " in parse("a.csv", data).said
    assert column_names("a.csv", data) == ["k", "v"]
    assert parse("a.csv", data, "k").said.endswith("50 rows of 'k'")


@pytest.mark.parametrize(
    ("name", "cells", "reason"),
    [
        ("k", ["1.5M", "900k"] * 25, "numbers in several units"),
        ("", [n + (n > 20) for n in MANY], "index"),  # as dropna leaves it
        ("", [(7 * n) % 50 for n in MANY], "index"),
        ("id", [(7 * n) % 50 for n in MANY], "index"),
        ("timestamp", [1709251200.0 + 60 * n + n % 7 for n in MANY], "time stamp"),
        ("when", [1709251200000 + 60000 * n + 5000 * (n % 7) for n in MANY], "time stamp"),
        ("d", [20240100 + n // 2 + 1 for n in range(50)], "time stamp"),
        ("year", [1990 + n // 4 for n in MANY], "time stamp"),
        ("k", [f"{1 + n % 28:02d}.03.2024" for n in MANY], "time stamp"),
        ("k", [f"{n % 24}:30" for n in MANY], "time stamp"),
        ("k", ["up", "down"] * 25, "words"),
        ("k", ["up", "1", "down"] * 16 + ["a", "b"], "numbers in 16 of 50 rows"),
    ],
)
def test_what_only_orders_or_names_the_rows_is_left_out(name, cells, reason):
    cells = [str(cell) for cell in cells]
    if name == "d":
        cells = [str(20240101 + n) if n < 29 else str(20240201 + n - 29) for n in MANY]
    said = parse("a.csv", columns(**{name: cells, "v": TEMP[:50]})).said
    assert f"50 rows of 'v'; left out: '{name or 0}' ({reason})" in said


def test_whole_numbers_in_disorder_are_features():
    data = columns(k=[(7 * n) % 50 for n in MANY], sentiment=[n * n for n in MANY])
    assert "50 rows of 'k', 'sentiment'" in parse("a.csv", data).said
    assert parse("a.csv", b"5\n3\n9\n1\n7\n").said == "Read a.csv as a table: 5 rows of '0'"


def test_a_table_of_counters_has_no_feature():
    with pytest.raises(
        InputError, match="a.csv: no column is a feature by itself: 'k' .counter 0, 1, 2 ....; choose"
    ) as e:
        parse("a.csv", columns(k=MANY))
    assert e.value.field == "column"


# what cannot be read


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (PLAIN + "Average,15.01\n", "line 62, column 'temp'|line 62 has 2 cells, line 1 has 3; .*delete line 62"),
        (PLAIN.replace("2024-03-02 05:00:00,", "2024-03-02 05:00:00,x,"), "line 31 has 4 cells, line 1 has 3"),
        ("a\n" + "5M\n" * 10 + "7k\n", "line 12, column 'a': '7k' is not in M as the cells above are"),
        ("a\n" + '"1,234.5"\n' * 9 + '"1,23"\n', "line 11, column 'a': '1,23' is not a number"),
        ("a,b\n1,2\nx,y\n3,4\n", "line 3, column 'a': 'x' is not a number"),
        ("a,b,c\n1,2\n3,4\n", "line 2 has 2 cells, line 1 has 3"),
        ("a,b\n1,2,3\n3,4\n5,6\n", "line 2 has 3 cells, line 1 has 2"),
        ('a,b\n1,2\n"3,4\n5,6\n', "a.csv: "),
    ],
)
def test_what_cannot_be_read_is_told_with_its_line(text, message):
    with pytest.raises(InputError, match=message):
        parse("a.csv", text.encode())


def test_a_bad_cell_behind_many_rows_and_blank_lines_has_its_line():
    lines = ["a,b", *(f"{n % 7},1.{n}" for n in range(300_000)), "", "", "1,x"]
    with pytest.raises(InputError, match="line 300004, column 'b': 'x' is not a number"):
        parse("a.csv", "\n".join(lines).encode())
    quotes = ["a,b", '1,"2"', '3,"4"', '"5","x"']
    with pytest.raises(InputError, match="line 4, column 'b': 'x' is not a number"):
        parse("a.csv", "\n".join(quotes).encode())


# sheets

SHEET = """<?xml version="1.0"?><worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>
{}</sheetData></worksheet>"""
PARTS = {
    "[Content_Types].xml": """<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/
content-types"><Default Extension="xml" ContentType="application/xml"/></Types>""".replace("\n", ""),
    "_rels/.rels": """<?xml version="1.0"?><Relationships
 xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1"
 Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="xl/workbook.xml"/>
</Relationships>""",
    "xl/workbook.xml": """<?xml version="1.0"?><workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"
 xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets>
<sheet name="one" sheetId="1" r:id="rId1"/></sheets></workbook>""",
    "xl/_rels/workbook.xml.rels": """<?xml version="1.0"?><Relationships
 xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1"
 Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet1.xml"/>
</Relationships>""",
}


def test_an_encoding_is_told_by_the_letters_wherever_they_are():
    for data in (b"caf\xe9,t\n1,2\n2,4\n" + b"9" * 10**5, b"t" + b" " * 10**5 + b"caf\xe9,u\n1,2\n2,4\n4,3\n"):
        assert as_utf8(data) == (data.decode("latin-1").encode(), "cp1252")


def workbook(rows) -> bytes:
    """An .xlsx with these rows in its only sheet."""

    def cell(at, value):
        if isinstance(value, str):
            return f'<c r="{at}" t="inlineStr"><is><t>{value}</t></is></c>'
        return f'<c r="{at}"><v>{value!r}</v></c>'

    lines = [
        f'<row r="{n}">{"".join(cell(f"{chr(65 + k)}{n}", value) for k, value in enumerate(row))}</row>'
        for n, row in enumerate(rows, 1)
    ]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in (PARTS | {"xl/worksheets/sheet1.xml": SHEET.format("\n".join(lines))}).items():
            archive.writestr(name, text)
    return buffer.getvalue()


def archive(members) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_LZMA) as made:
        for name, data in members.items():
            made.writestr(name, data)
    return buffer.getvalue()


@pytest.mark.parametrize("suffix", ["npz", "xlsx"])
def test_damaged_archives(suffix):
    """Zip says so in as many ways as there are places for the damage, and some only when a member is read."""
    members = {"\u00e9.npy": b"\x93NUMPY" + bytes(9)} | ({"[Content_Types].xml": b"x"} if suffix == "xlsx" else {})
    whole, rng = archive(members), np.random.default_rng(0)
    flips = [(i, byte) for i in range(4, len(whole)) for byte in (0, 255, *rng.integers(0, 256, 2).tolist())]
    for data in [
        whole.replace("\u00e9".encode(), b"\xe0e"),
        *(whole[:i] + bytes([b]) + whole[i + 1 :] for i, b in flips),
    ]:
        with pytest.raises(InputError, match=f"^a.{suffix}: "):
            parse(f"a.{suffix}", data)


def test_excel():
    rows = [["Logger 7"], ["time", "temp"], ["s", "degC"], *([float(n), float(t)] for n, t in enumerate(TEMP))]
    series = parse("a.xlsx", workbook(rows))
    assert series.said == (
        "Read a.xlsx as a table (commas, without line 1 (Logger 7), line 3 (s, degC)): 60 rows of 'temp'; "
        "left out: 'time' (counter 0, 1, 2 ...)"
    )
    np.testing.assert_allclose(series.table[:, 0], (TEMP - TEMP.mean()) / TEMP.std())
    with pytest.raises(InputError, match="line 3, column 'temp': 'x' is not a number"):
        parse("a.xlsx", workbook([["temp"], [1.5], ["x"], [2.5], [3.5]]))
    with pytest.raises(InputError, match="a.xlsx: not a readable .xlsx"):
        parse("a.xlsx", workbook(rows)[:-30])


def test_parquet(tmp_path):
    pytest.importorskip("pyarrow")
    import pandas as pd

    frame = pd.DataFrame({"when": pd.date_range("2024", periods=60), "temp": TEMP, "n": range(60)})
    frame.to_parquet(tmp_path / "a.parquet")
    assert raw_series(tmp_path / "a.parquet").said == (
        "Read a.parquet as a table: 60 rows of 'temp'; left out: 'when' (time stamp), 'n' (counter 0, 1, 2 ...)"
    )
    with pytest.raises(InputError, match="a.parquet: not a readable .parquet"):
        parse("a.parquet", (tmp_path / "a.parquet").read_bytes()[:100])


def test_a_column_of_dates_in_a_parquet_file_is_no_column_of_numbers(tmp_path):
    pytest.importorskip("pyarrow")
    import pandas as pd

    path = tmp_path / "a.parquet"
    for times in (pd.date_range("2024", periods=60), pd.timedelta_range("1h", periods=60)):
        pd.DataFrame({"when": times, "temp": TEMP}).to_parquet(path)
        for column in ("when", "0"):
            with pytest.raises(InputError, match=r"^a.parquet: line 1, column 'when': '.*' is not a number"):
                raw_series(path, column)


def test_parquet_with_damaged_notes_of_pandas(tmp_path):
    pytest.importorskip("pyarrow")
    import pandas as pd

    path = tmp_path / "a.parquet"
    pd.DataFrame({"temp": TEMP}, pd.RangeIndex(60, name="time")).to_parquet(path)
    whole = path.read_bytes()
    for damage in (b"{\xffindex_columns", b"xxindex_columns"):
        with pytest.raises(InputError, match=r"^a.parquet: not a readable .parquet \(.*; save it as .csv$"):
            parse("a.parquet", whole.replace(b'{"index_columns', damage))


def test_an_index_of_a_parquet_file_called_like_a_column(tmp_path):
    pytest.importorskip("pyarrow")
    import pandas as pd

    frame = pd.DataFrame({"x": TEMP}, pd.Index(LOAD, name="x"))
    frame.to_parquet(tmp_path / "a.parquet")
    assert raw_series(tmp_path / "a.parquet").values.shape == (60, 2)


@pytest.mark.parametrize(("name", "library"), [("a.xlsx", "python_calamine"), ("a.parquet", "pyarrow")])
def test_a_library_that_is_not_there(name, library, monkeypatch):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(InputError, match=f"files need {library}: pip install 'gradlab.tables.', or save it as .csv"):
        parse(name, b"PAR1" if name.endswith("parquet") else workbook([["a"], [1.0]]))


def test_numbers_are_read_to_their_last_digit(tmp_path):
    values = np.concatenate([RNG.normal(size=500) * 10.0 ** RNG.integers(-300, 300, 500), [5e-324, math.pi, 2**53 + 1]])
    (tmp_path / "a.csv").write_text("\n".join(map(repr, values.tolist())))
    np.testing.assert_array_equal(raw_series(tmp_path / "a.csv").values[:, 0], values)
