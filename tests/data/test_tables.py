"""tables: files and tables in memory by hand, and one sentence for what is wrong in either."""

from __future__ import annotations

import gzip
import re

import numpy as np
import pandas as pd
import pytest

from tests.data.test_fasta import bgzf
from tests.support import refusal
from tssbook.data import tables
from tssbook.data.tables import NoIntervals, lines, read_bed, read_table, read_tss

BED = "chr2\t5\t9\tYY1\t0\t-\tmore\nchr1\t3\t8\tACTB\t.\t+\n"
ROWS = {
    "chrom": ["chr2", "chr1"], "start": [5, 3], "end": [9, 8], "name": ["YY1", "ACTB"],
    "score": ["0", "."], "strand": ["-", "+"],
}  # fmt: skip
TSS = pd.DataFrame({"chrom": ["chr2", "chr1"], "tss": [8, 3], "strand": ["-", "+"]})


def written(folder, content: str | bytes, name: str = "table"):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


# --- intervals ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        BED,
        "# a comment\nbrowser position chr7\ntrack name=genes\n\n" + BED,
        BED.replace("\n", "\r\n"),
        BED.replace("\t", "  "),
        "\ufeff" + BED.removesuffix("\n"),
    ],
)
@pytest.mark.parametrize("pack", [bytes, gzip.compress, bgzf])
def test_bed(tmp_path, text, pack):
    table = read_bed(written(tmp_path, pack(text.encode())))
    assert table.to_dict("list") == ROWS
    assert table["start"].dtype == table["end"].dtype == np.int64


def test_bed_with_three_columns(tmp_path):
    path = written(tmp_path, "chr1\t0\t7\n")
    assert read_bed(path).to_dict("list") == {"chrom": ["chr1"], "start": [0], "end": [7]}


def test_a_table_of_intervals_is_kept_as_it_is():
    table = pd.DataFrame(ROWS, index=["a", "b"]).assign(more=1.5)
    pd.testing.assert_frame_equal(read_bed(table), table)
    # pandas makes 5.0 of 5 where a column had gaps.
    assert read_bed(table.astype({"start": float}))["start"].tolist() == [5, 3]


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        ({"start": "x"}, "the start 'x'; wanted a whole number of 0 or more"),
        ({"start": "1e3"}, "the start '1e3'; wanted a whole number"),
        ({"end": "8.5"}, "the end '?8.5'?; wanted a whole number"),
        ({"start": "-3"}, "the start '?-3(\\.0)?'?; wanted a whole number of 0 or more"),
        ({"start": "8"}, "the start 8 and the end 8; wanted an end after the start"),
        ({"strand": "1"}, "the strand '1'; wanted '\\+', '-' or '\\.'"),
    ],
)
def test_a_bad_interval_in_a_file_and_in_a_table(tmp_path, change, wanted):
    row = {"chrom": "chr1", "start": "3", "end": "8", "name": "A", "score": "0", "strand": "+"}
    bad = "\t".join((row | change).values())
    path = written(tmp_path, f"# genes\n{BED}{bad}\n")
    message = refusal(lambda: read_bed(path))
    assert re.fullmatch(f"Line 4 of {path} has {wanted}.*", message)
    numbers = {
        k: float(v) if k in ("start", "end") and re.fullmatch(r"-?[\d.]+", v) else v
        for k, v in (row | change).items()
    }
    table = pd.concat([pd.DataFrame(ROWS), pd.DataFrame([numbers])], ignore_index=True)
    message = refusal(lambda: read_bed(table.set_axis(list("xyz"))))
    assert re.fullmatch(f"Row 2 of the table has {wanted}.*", message)


@pytest.mark.parametrize("line", ["chr1\t3", "chr1\t3\t8\tACTB"])
def test_a_short_line(tmp_path, line):
    path = written(tmp_path, f"{BED}{line}\n")
    message = refusal(lambda: read_bed(path))
    assert re.search(f"Line 3 of {path} has {len(line.split())} columns; wanted 6: chrom", message)
    assert "Line 1 of" in refusal(lambda: read_bed(written(tmp_path, "chr1\t3\n")))


@pytest.mark.parametrize("text", ["", "\n\n", "# nothing\ntrack name=x\n"])
def test_no_intervals(tmp_path, text):
    path = written(tmp_path, text)
    assert str(path) in refusal(lambda: read_bed(path), NoIntervals)
    assert "The table" in refusal(lambda: read_bed(pd.DataFrame(ROWS).iloc[:0]), NoIntervals)


# --- start sites ----------------------------------------------------------------------------------


def test_start_sites(tmp_path):
    path = written(tmp_path, "name\tchr\tTSS\tstrand\tscore\nACTB\tchr7\t5530600\t-\t9\n")
    wanted = {"chrom": ["chr7"], "tss": [5530600], "strand": ["-"], "name": ["ACTB"]}
    assert read_tss(path).to_dict("list") == wanted
    assert read_tss(pd.read_csv(path, sep="\t")).to_dict("list") == wanted


def test_start_sites_of_genes():
    genes = pd.DataFrame(ROWS, index=["a", "b"]).drop(columns="name")
    pd.testing.assert_frame_equal(read_tss(genes), TSS.set_axis(["a", "b"]))
    pd.testing.assert_frame_equal(read_tss(TSS), TSS)
    assert read_tss(genes.iloc[:0]).empty


@pytest.mark.parametrize(
    ("tss", "strand", "wanted"),
    [
        ("x", "+", "the tss 'x'; wanted a whole number"),
        ("-1", "+", "the tss '-1'; wanted a whole number of 0 or more"),
        ("5", ".", "the strand '\\.'; wanted '\\+' or '-'"),
        ("5", "", "the strand ''; wanted '\\+' or '-'"),
    ],
)
def test_a_bad_start_site(tmp_path, tss, strand, wanted):
    path = written(tmp_path, f"chr\tTSS\tstrand\nchr1\t5\t+\nchr1\t{tss}\t{strand}\n")
    assert re.match(f"Line 3 of {path} has {wanted}", refusal(lambda: read_tss(path)))
    table = pd.DataFrame({"chrom": "chr1", "tss": ["5", tss], "strand": ["+", strand]})
    assert re.match(f"Row 1 of the table has {wanted}", refusal(lambda: read_tss(table)))


@pytest.mark.parametrize(
    ("start", "end", "wanted"),
    [
        ("x", "9", "the start 'x'; wanted a whole number"),
        ("5", "-9", "the end '-9'; wanted a whole number of 0 or more"),
        ("9", "5", "the start 9 and the end 5; wanted an end after the start"),
    ],
)
def test_a_bad_gene_among_start_sites(tmp_path, start, end, wanted):
    text = f"chr\tstart\tend\tstrand\nchr1\t5\t9\t+\n\nchr1\t{start}\t{end}\t-\n"
    path = written(tmp_path, text)
    assert re.match(f"Line 4 of {path} has {wanted}", refusal(lambda: read_tss(path)))
    table = pd.read_csv(path, sep="\t", dtype=str)
    assert re.match(f"Row 1 of the table has {wanted}", refusal(lambda: read_tss(table)))


@pytest.mark.parametrize("column", ["chrom", "tss", "strand"])
def test_a_column_is_missing(tmp_path, column):
    table = TSS.drop(columns=column)
    there = ", ".join(table)
    assert re.search(f"no column '{column}': it has {there}; ", refusal(lambda: read_tss(table)))
    path = written(tmp_path, table.to_csv(sep="\t", index=False))
    assert re.match(f"{path} has no column '{column}'", refusal(lambda: read_tss(path)))


# --- any table ------------------------------------------------------------------------------------


def test_a_table_keeps_text_and_line_numbers(tmp_path):
    path = written(tmp_path, "# made by hand\nb\ta\n\nNA\t007\n#\n\t1\n")
    table = read_table(path, ["a"])
    assert table.to_dict("list") == {"b": ["NA", ""], "a": ["007", "1"]}
    assert table.index.tolist() == [4, 6]


def test_numbers(tmp_path):
    path = written(tmp_path, "gene\tx\nA\t 1e3 \nB\tNA\nC\t\nD\t-2\n")
    for source in (path, read_table(path), pd.read_csv(path, sep="\t")):
        found = read_table(source, ["gene"], numbers=["x"])["x"]
        assert np.array_equal(found, [1000, np.nan, np.nan, -2], equal_nan=True)
    path = written(tmp_path, "gene\tx\nA\t1\nB\t1,5\n")
    wanted = "has the x '1,5'; wanted a number, or NA"
    assert f"Line 3 of {path} {wanted}" in refusal(lambda: read_table(path, numbers=["x"]))
    table = pd.DataFrame({"x": ["1", "1,5"]})
    assert f"Row 1 of the table {wanted}" in refusal(lambda: read_table(table, numbers=["x"]))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", "0 lines"),
        ("chr\tTSS\n", "1 lines"),
        ("a\tb\n1\t2\n3\n", "Line 3 .* 1 columns.* 2: a, b"),
    ],
)
def test_a_table_without_rows_or_columns(tmp_path, text, wanted):
    path = written(tmp_path, text)
    message = refusal(lambda: read_table(path))
    assert str(path) in message
    assert re.search(wanted, message)


# --- text -----------------------------------------------------------------------------------------


def test_latin_1_and_utf_8(tmp_path):
    for encoding in ("latin-1", "utf-8", "utf-8-sig"):
        assert list(lines(written(tmp_path, "Gène\tα".replace("α", "é").encode(encoding)))) == [
            (1, "Gène\té")
        ]


def test_no_text(tmp_path):
    path = written(tmp_path, "chr1\t3\t8\n".encode("utf-16"))
    assert f"Line 1 of {path} is no text" in refusal(lambda: read_bed(path))


@pytest.mark.parametrize("pack", [gzip.compress, bgzf])
def test_a_compressed_file_that_was_cut_or_damaged(tmp_path, pack):
    content = pack(BED.encode() * 100)
    half = len(content) // 2
    for wrong in (content[:-28], content[:half], content[:half] + bytes(9) + content[half + 9 :]):
        path = written(tmp_path, wrong)
        message = refusal(lambda path=path: read_bed(path))
        assert str(path) in message
        assert "get it again" in message


# --- tables as users bring them ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "wanted"),
    [([1, 22], ["1", "22"]), ([1, "X"], ["1", "X"]), ([1.0, 2.0], ["1", "2"]),
     (pd.Categorical(["chr2", "chr1"]), ["chr2", "chr1"])],
)  # fmt: skip
def test_names_of_chromosomes_become_text(names, wanted):
    bed = read_bed(pd.DataFrame({"chrom": names, "start": [1, 2], "end": [5, 6]}))
    assert bed["chrom"].tolist() == wanted
    tss = read_tss(pd.DataFrame({"chrom": names, "tss": [1, 2], "strand": ["+", "-"]}))
    assert tss["chrom"].tolist() == wanted


@pytest.mark.parametrize("name", [None, float("nan"), pd.NA, ""])
def test_a_chromosome_without_a_name(name):
    table = pd.DataFrame({"chrom": ["chr1", name], "start": [1, 2], "end": [5, 6]})
    assert "Row 1 of the table has the chrom" in refusal(lambda: read_bed(table))


def test_a_column_twice():
    table = pd.DataFrame([["chr1", 1, 2, 5]], columns=["chrom", "start", "start", "end"])
    assert "'start' twice" in refusal(lambda: read_bed(table))
    both = pd.DataFrame({"chr": ["chr1"], "chrom": ["chr2"], "tss": [5], "strand": ["+"]})
    assert "'chrom' twice" in refusal(lambda: read_tss(both))


def test_a_header_behind_a_hash(tmp_path):
    path = tmp_path / "tss.tsv"
    path.write_text("# made by hand\n#chr\tTSS\tstrand\nchr1\t5\t+\n#chr2\t7\t-\nchr3\t9\t-\n")
    assert read_tss(path).to_numpy().tolist() == [["chr1", 5, "+"], ["chr3", 9, "-"]]


def test_spaces_around_fields(tmp_path):
    path = tmp_path / "spaces.bed"
    path.write_text("chr1 \t 1\t5 \n")
    assert read_bed(path).to_numpy().tolist() == [["chr1", 1, 5]]


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"PK\x03\x04" + bytes(40), "a zip archive"), (b"\xfd7zXZ\x00" + bytes(40), "with xz"),
     (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS pointer"),
     (b"\n<!DOCTYPE html>\n<html></html>\n", "an HTML page"), (b"BAM\x01" + bytes(40), "a BAM")],
)  # fmt: skip
def test_a_file_of_another_kind_is_named(tmp_path, content, said):
    path = tmp_path / "peaks.bed"
    path.write_bytes(content)
    message = refusal(lambda: read_bed(path))
    assert message.startswith(f"{path} is ")
    assert said in message


def test_a_line_that_fills_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "_LONGEST_LINE", 1000)
    path = tmp_path / "x.bed.gz"
    path.write_bytes(gzip.compress(b"chr1\t1\t2\n" + 100_000 * b"A"))
    assert f"Line 2 of {path} is longer than 1,000" in refusal(lambda: read_bed(path))


def test_no_file(tmp_path):
    for path in (tmp_path, tmp_path / "none.bed"):
        message = refusal(lambda path=path: read_bed(path), FileNotFoundError)
        assert f"no file {path}" in message


def test_start_sites_of_a_bed_file(tmp_path):
    path = written(tmp_path, "chr1\t3\t9\ta\t0\t+\nchr1\t3\t9\tb\t0\t-\n", "genes.bed")
    assert read_tss(path)[["tss", "strand", "name"]].values.tolist() == [
        [3, "+", "a"],
        [8, "-", "b"],
    ]


PEAKS = "chr1\t10\t30\ta\t0\t.\t5.5\t3.1\t2.2\t4\nchr1\t50\t60\tb\t0\t.\t1\t1\t1\t-1\n"


@pytest.mark.parametrize("name", ["x.narrowPeak", "x.narrowPeak.gz"])
def test_narrow_peaks(tmp_path, name):
    content = gzip.compress(PEAKS.encode()) if name.endswith(".gz") else PEAKS
    peaks = read_bed(written(tmp_path, content, name))
    assert list(peaks) == ["chrom", "start", "end", "name", "score", "strand", "summit"]
    assert peaks["summit"].tolist() == [4, -1]
    assert "summit" not in read_bed(written(tmp_path, PEAKS, "x.bed"))


@pytest.mark.parametrize(("summit", "said"), [("20", "within the interval"), ("x", "whole number")])
def test_a_summit_that_is_none(tmp_path, summit, said):
    path = written(tmp_path, PEAKS.replace("\t4\n", f"\t{summit}\n"), "x.narrowPeak")
    message = refusal(lambda: read_bed(path))
    assert f"Line 1 of {path}" in message
    assert said in message


@pytest.mark.parametrize("read", [read_bed, read_tss, read_table])
@pytest.mark.parametrize("source", [None, [1, 2], pd.Series({"chrom": "chr1"})])
def test_what_is_no_table(read, source):
    with pytest.raises(TypeError, match=r"is a (NoneType|list|Series); wanted a pandas.DataFrame"):
        read(source)


def test_commas_are_no_tabs(tmp_path):
    (tmp_path / "a.csv").write_text("gene,expression\na,1\n")
    message = refusal(lambda: read_table(tmp_path / "a.csv", ["gene"]))
    assert "is separated by commas; wanted columns separated by tabs" in message
