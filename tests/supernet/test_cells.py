"""Architectures in cells of tables, as other programs write them."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from supernet import Choice, SearchSpace
from supernet.cells import choice_columns, choice_values, csv_reader, decimal_mark, number

WAYS = {
    "JSON": lambda values: [json.dumps(values)],
    "Python": lambda values: [str(tuple(values))],
    "NumPy": lambda values: [str(np.array(values))],
    "blanks": lambda values: [" ".join(map(str, values))],
    "commas": lambda values: [",".join(map(str, values))],
    "a column each": lambda values: [str(value) for value in values],
}


@pytest.mark.parametrize("way", WAYS)
@given(values=st.lists(st.sampled_from([3, 16, 64]), min_size=2, max_size=2))
def test_values_are_read_however_they_are_written(way, values):
    space = SearchSpace(Choice("width", (3, 16, 64), 2))
    read = choice_values(space.choices[0], WAYS[way](values))
    assert list(space.validate({"width": read})["width"]) == values


def test_digits_may_stand_side_by_side():
    choice = Choice("ks", (3, 5, 7), 4)
    assert choice_values(choice, ["3573"]) == [3, 5, 7, 3]
    assert choice_values(choice, ["5"]) == 5  # everywhere


@pytest.mark.parametrize("label", ["ks[{}]", "ks_{}", "ks.{}", "ks{}"])
@pytest.mark.parametrize("first", [0, 1])
def test_columns_are_numbered_from_0_or_1(label, first):
    choice, columns = Choice("ks", (3, 5), 3), [label.format(first + i) for i in range(3)]
    assert choice_columns(choice, ["id", *reversed(columns)]) == tuple(columns)
    assert choice_columns(choice, columns[:2]) == ()
    assert choice_columns(choice, ["ks", *columns]) == ("ks",)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize(("delimiter", "decimal"), [(",", "."), (";", ","), ("\t", ",")])
def test_dialects_are_recognised(tmp_path, encoding, delimiter, decimal):
    path = tmp_path / "t.csv"
    path.write_text(f'\n"ks"{delimiter}µs\n"3{delimiter}5"{delimiter}1{decimal}5\n', encoding=encoding)
    reader = csv_reader(path)
    assert [row for row in reader if row] == [["ks", "µs"], [f"3{delimiter}5", f"1{decimal}5"]]
    assert number(f" 1{decimal}5 %", decimal_mark(reader)) == 1.5


@pytest.mark.parametrize("text", ["", " ", "-", "NaN", "N/A", "None"])
def test_unknown_numbers_are_nan(text):
    assert np.isnan(number(text))
