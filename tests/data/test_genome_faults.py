"""genome, when tables, windows or answers are not as they should be."""

from __future__ import annotations

import gzip

import pandas as pd
import pytest

from tests.support import refusal
from tssbook.data.genome import (
    padding,
    read_bed,
    read_table,
    read_tss,
    sequences,
    windows,
)

# --- tables -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("chr1\t3", "has 2 columns; wanted at least 6: chrom, start, end, name, score, strand."),
        ("chr1\t3\t8\tACTB", "has 4 columns; wanted at least 6"),
        ("chr1\tx\t8\tACTB\t0\t+", "has the start 'x'; wanted a whole number."),
        ("chr1\t1e3\t2000\tACTB\t0\t+", "has the start '1e3'; wanted a whole number."),
        ("chr1\t1_0\t20\tACTB\t0\t+", "has the start '1_0'; wanted a whole number."),
        ("chr1\t3\t8.0\tACTB\t0\t+", "has the end '8.0'; wanted a whole number."),
        ("chr1\t-3\t8\tACTB\t0\t+", "has the start -3; wanted 0 or more."),
        ("chr1\t8\t8\tACTB\t0\t+", "has start 8 and end 8; wanted start < end."),
        ("chr1\t3\t8\tACTB\t0\t1", "has the strand '1'; wanted '+', '-' or '.'."),
    ],
)
def test_bed_line(tmp_path, line, wanted):
    path = tmp_path / "genes.bed"
    path.write_text(f"# genes\nchr1\t3\t8\tACTB\t0\t+\n{line}\n")
    assert refusal(lambda: read_bed(path)).startswith(f"Line 3 of {path} {wanted}")


def test_bed_with_a_short_first_line(tmp_path):
    path = tmp_path / "genes.bed"
    path.write_text("chr1\t3\n")
    assert "Line 1 of" in refusal(lambda: read_bed(path))


@pytest.mark.parametrize("text", ["", "\n\n", "# nothing\ntrack name=x\n"])
def test_bed_without_intervals(tmp_path, text):
    path = tmp_path / "genes.bed"
    path.write_text(text)
    assert refusal(lambda: read_bed(path)) == f"{path} has no intervals; wanted a BED file."


def test_no_text(tmp_path):
    path = tmp_path / "genes.bed"
    path.write_bytes(b"\xff\xfe\x00\x01")
    assert f"{path} cannot be read as text (" in refusal(lambda: read_bed(path))
    path.write_bytes(gzip.compress(b"chr1\t3\t8\n" * 100)[:-12])
    assert f"{path} cannot be read as text (" in refusal(lambda: read_bed(path))


@pytest.mark.parametrize(
    ("row", "wanted"),
    [
        ("chr1\tx\t+", "has the TSS 'x'; wanted a whole number."),
        ("chr1\t-1\t+", "has the TSS -1; wanted 0 or more."),
        ("chr1\t5\t.", "has the strand '.'; wanted '+' or '-'."),
        ("chr1\t5", "has 2 columns; wanted 3 as in the header."),
    ],
)
def test_tss_line(tmp_path, row, wanted):
    path = tmp_path / "tss.tsv"
    path.write_text(f"chr\tTSS\tstrand\nchr1\t5\t+\n{row}\n")
    assert refusal(lambda: read_tss(path)) == f"Line 3 of {path} {wanted}"


def test_table_without_a_column(tmp_path):
    path = tmp_path / "tss.tsv"
    path.write_text("chr\tTSS\nchr1\t5\n")
    message = refusal(lambda: read_tss(path))
    assert message == (
        f"{path} has no column 'strand': its header is chr, TSS; wanted chr, TSS, strand, "
        "separated by tabs."
    )


@pytest.mark.parametrize("text", ["", "chr\tTSS\tstrand\n"])
def test_table_without_rows(tmp_path, text):
    path = tmp_path / "tss.tsv"
    path.write_text(text)
    assert "wanted a header and at least one row" in refusal(lambda: read_table(path, ["chr"]))


# --- windows ------------------------------------------------------------------------------------

TSS = pd.DataFrame({"chrom": ["chr1", "chr1"], "tss": [4, 5], "strand": ["+", "-"]})


@pytest.mark.parametrize("column", ["chrom", "strand"])
def test_windows_without_a_column(column):
    message = refusal(lambda: windows(TSS.drop(columns=column), 2, 2))
    assert f"has no column {column!r}" in message


def test_windows_without_places():
    assert "has no column 'start'" in refusal(lambda: windows(TSS.drop(columns="tss"), 2, 2))


@pytest.mark.parametrize("strand", [".", "", None, 1])
def test_windows_without_a_strand(strand):
    table = TSS.assign(strand=pd.Series(["+", strand], dtype=object))
    message = refusal(lambda: windows(table, 2, 2))
    assert message == f"Row 1 of the table has the strand {strand!r}; wanted + or -."


@pytest.mark.parametrize(("before", "after"), [(0, 0), (-1, 5), (5, -1)])
def test_windows_without_bases(before, after):
    assert f"has {before} and {after} bases" in refusal(lambda: windows(TSS, before, after))


def test_sequences_of_two_lengths(tmp_path):
    path = tmp_path / "genome.fa"
    path.write_text(">chr1\nGATTACA\n")
    table = windows(TSS, 2, 2)
    table.loc[1, "end"] += 1
    assert "The windows have 2 lengths (4, 5); wanted one" in refusal(
        lambda: sequences(path, table)
    )
    assert "has 0 lengths" in refusal(lambda: sequences(path, table[:0])).replace("have", "has")


@pytest.mark.parametrize("call", [sequences, padding])
def test_a_chromosome_by_another_name(tmp_path, call):
    path = tmp_path / "genome.fa"
    path.write_text(">1\nGATTACA\n")
    message = refusal(lambda: call(path, windows(TSS, 2, 2)))
    assert message == (
        f"{path} has no chromosome 'chr1': it is called '1' there, so write all names in one way, "
        "with or without 'chr'."
    )
