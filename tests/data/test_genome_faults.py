"""genome, when loci or windows are not as they should be."""

from __future__ import annotations

import re

import pandas as pd
import pytest

from tests.support import refusal
from tssbook.data.genome import padding, sequences, windows

TSS = pd.DataFrame({"chrom": ["chr1", "chr1"], "tss": [4, 5], "strand": ["+", "-"]})


@pytest.mark.parametrize("strand", [".", "", None, 1])
def test_windows_without_a_strand(strand):
    table = TSS.assign(strand=pd.Series(["+", strand], dtype=object))
    message = refusal(lambda: windows(table, 2, 2))
    assert re.match(rf"Row 1 of the table has the strand {strand!r}; wanted '\+' or '-'", message)


def test_windows_before_a_chromosome():
    assert "the tss -4; wanted" in refusal(lambda: windows(TSS.assign(tss=-4), 2, 2))


@pytest.mark.parametrize(("before", "after"), [(0, 0), (-1, 5), (5, -1)])
def test_windows_without_bases(before, after):
    assert f"has {before} and {after} bases" in refusal(lambda: windows(TSS, before, after))


def test_sequences_of_two_lengths(tmp_path):
    path = tmp_path / "genome.fa"
    path.write_text(">chr1\nGATTACA\n")
    table = windows(TSS, 2, 2)
    table.loc[1, "end"] += 1
    assert "2 lengths (4, 5); wanted one" in refusal(lambda: sequences(path, table))
    assert "0 lengths" in refusal(lambda: sequences(path, table[:0]))


@pytest.mark.parametrize(("call", "column"), [(sequences, "strand"), (padding, "end")])
def test_windows_without_a_column(tmp_path, call, column):
    path = tmp_path / "genome.fa"
    path.write_text(">chr1\nGATTACA\n")
    table = windows(TSS, 2, 2).drop(columns=column)
    assert f"no column {column!r}" in refusal(lambda: call(path, table))


@pytest.mark.parametrize("call", [sequences, padding])
def test_a_chromosome_by_another_name(tmp_path, call):
    path = tmp_path / "genome.fa"
    path.write_text(">1\nGATTACA\n")
    message = refusal(lambda: call(path, windows(TSS, 2, 2)))
    assert re.match(f"{path} has no chromosome 'chr1': it is called '1' there", message)
