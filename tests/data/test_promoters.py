"""Splits, the join of genes and expression and its report, promoters; what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.support import refusal
from tssbook.data.promoters import (
    ecoli_promoters,
    join_expression,
    load_promoters,
    read_expression,
)
from tssbook.data.splits import split_at_random, split_by_block, split_by_chromosome
from tssbook.sequence import decode

# --- splits -------------------------------------------------------------------------------------


def test_by_chromosome():
    split = split_by_chromosome(["chr1", "chr8", "chr2", "chr8", "chr10"], ["chr10"], ["chr8"])
    assert [part.tolist() for part in split] == [[0, 2], [4], [1, 3]]
    assert split.test is split[2]


@pytest.mark.parametrize(
    ("valid", "test", "wanted"),
    [
        (["chr3"], ["chr2"], ["'chr3'", "valid", "chr1, chr2"]),
        (["chr1"], ["2"], ["'2'", "test", "'chr2'"]),
        (["chr1"], ["chr1"], ["chr1", "valid", "test"]),
        (["chr1"], ["chr2"], ["0, 1 and 1 rows", "train"]),
        ([], ["chr2"], ["1, 0 and 1 rows", "valid"]),
        (["chr1"], [], ["1, 1 and 0 rows", "test"]),
    ],
)
def test_by_chromosome_refused(valid, test, wanted):
    message = refusal(lambda: split_by_chromosome(["chr1", "chr2"], valid, test))
    assert all(words in message for words in wanted)


def test_one_string_is_no_list_of_chromosomes():
    message = refusal(lambda: split_by_chromosome(["a", "b"], "a", ["b"]), TypeError)
    assert "'a'" in message
    assert "['a']" in message


def test_at_random():
    split = split_at_random(100, seed=3)
    assert [len(part) for part in split] == [80, 10, 10]
    assert sorted(np.concatenate(split)) == list(range(100))
    again, other = split_at_random(100, seed=3), split_at_random(100, seed=4)
    assert all(np.array_equal(a, b) for a, b in zip(split, again, strict=True))
    assert not np.array_equal(split.test, other.test)
    assert split.test.tolist() != list(range(90, 100))  # drawn, not cut


@pytest.mark.parametrize(
    "fractions", [(0.8, 0.2), (0.8, 0.2, 0.1), (0.9, 0.1, 0.0), (1.2, -0.1, -0.1)]
)
def test_fractions_refused(fractions):
    assert str(fractions) in refusal(lambda: split_at_random(100, 0, fractions))


def test_too_few_rows_for_three_parts():
    assert "2, 1 and 0 rows" in refusal(lambda: split_at_random(3, 0))


def test_by_block():
    # Sorted: 0 10 20 30 | 40 50 | 60 70 80 90; a promoter of 5 bp needs 10 bp to the last start
    # before the cut, and 40 is just that far from 30.
    start = [90, 0, 30, 20, 10, 50, 40, 60, 80, 70]
    split = split_by_block(start, 5, (0.4, 0.2, 0.4))
    assert [[start[i] for i in part] for part in split] == [
        [0, 30, 20, 10],
        [50, 40],
        [90, 60, 80, 70],
    ]
    # With 6 bp, 40 and 60 reach into the gaps.
    split = split_by_block(start, 6, (0.4, 0.2, 0.4))
    assert [[start[i] for i in part] for part in split][1:] == [[50], [90, 80, 70]]


@given(
    start=st.lists(st.integers(-100, 3000), min_size=60, max_size=100, unique=True),
    length=st.integers(1, 20),
)
def test_blocks_never_overlap(start, length):
    split = split_by_block(start, length)
    parts = [np.array(start)[part] for part in split]
    for earlier, later in ((0, 1), (1, 2), (0, 2)):
        distance = parts[later].min() - (parts[earlier].max() + length)
        assert distance >= length


def test_blocks_too_close():
    assert "16, 0 and 0 rows" in refusal(lambda: split_by_block(range(20), 100))


def test_block_without_a_start():
    start = pd.Series([1, None, 3], dtype="Int64")
    assert "start is missing" in refusal(lambda: split_by_block(start, 5))


# --- genes and their expression ------------------------------------------------------------------


def gene_table(*rows: tuple[str, int]) -> pd.DataFrame:
    return pd.DataFrame(
        [("chr1", start, start + 10, name, "0", "+") for name, start in rows],
        columns=["chrom", "start", "end", "name", "score", "strand"],
    )


def expression_table(**values: float) -> pd.DataFrame:
    return pd.DataFrame({"gene": list(values), "expression": list(values.values())})


def test_join_says_who_is_lost_and_why():
    genes = gene_table(("d", 1), ("a", 2), ("b", 3), ("moved", 4), ("moved", 5), ("nan", 6))
    genes = pd.concat([genes, gene_table(("d", 1), ("inf", 9), ("twice", 7), ("alone", 8))])
    table = expression_table(a=1.5, d=-2.0, b=0.0, moved=1.0, nan=np.nan, inf=np.inf, stranger=3.0)
    table = pd.concat([table, expression_table(twice=1.0), expression_table(twice=2.0, a=1.5)])
    joined, report = join_expression(genes, table)
    assert joined["name"].tolist() == ["d", "a", "b"]  # in the order of the genes, d once
    assert joined["expression"].tolist() == [-2.0, 1.5, 0.0]
    assert joined["start"].tolist() == [1, 2, 3]
    assert dict(zip(report["gene"], report["reason"], strict=True)) == {
        "twice": "listed twice with different values",
        "nan": "expression is not a number",
        "inf": "expression is not a number",
        "moved": "listed twice at different places",
        "stranger": "no gene of this name",
        "alone": "no expression",
    }
    assert len(report) == 6


@pytest.mark.parametrize("empty", [np.nan, None, "", " "])
def test_rows_without_a_name_are_lost_and_not_joined(empty):
    genes = gene_table(("a", 1), (empty, 2), (empty, 3))
    table = pd.concat([expression_table(a=1.0), pd.DataFrame({"gene": [empty], "expression": 9.0})])
    joined, report = join_expression(genes, table)
    assert joined["name"].tolist() == ["a"]
    assert report["reason"].tolist() == ["no name"] * 3  # two genes, and one expression
    assert "no name: 2" in refusal(lambda: join_expression(genes[1:], expression_table(a=1.0)))


def test_nothing_lost():
    _, report = join_expression(gene_table(("a", 1)), expression_table(a=1.0))
    assert report.empty
    assert list(report) == ["gene", "reason"]


def test_a_value_and_a_nan_are_different_values():
    table = pd.concat([expression_table(a=1.0, b=1.0), expression_table(a=np.nan)])
    _, report = join_expression(gene_table(("a", 1), ("b", 2)), table)
    assert report.values.tolist() == [["a", "listed twice with different values"]]


def test_no_gene_in_common():
    message = refusal(
        lambda: join_expression(gene_table(("ENSG1.4", 1)), expression_table(ENSG1=1))
    )
    assert "no gene of this name: 1" in message
    assert "no expression: 1" in message


@pytest.mark.parametrize("column", ["gene", "expression"])
def test_join_without_a_column(column):
    table = expression_table(a=1.0).drop(columns=column)
    message = refusal(lambda: join_expression(gene_table(("a", 1)), table))
    assert repr(column) in message


def test_join_without_names():
    genes = gene_table(("a", 1)).drop(columns="name")
    message = refusal(lambda: join_expression(genes, expression_table(a=1.0)))
    assert "'name'" in message
    assert "chrom, start, end" in message


def test_read_expression(tmp_path):
    path = tmp_path / "expression.tsv"
    path.write_text("gene\tn\texpression\na\t1\t1e-3\nb\t1\t\nc\t1\tNA\nd\t1\tnan\nNA\t1\t-2\n")
    table = read_expression(path)
    assert table["gene"].tolist() == ["a", "b", "c", "d", "NA"]
    np.testing.assert_array_equal(table["expression"], [0.001, np.nan, np.nan, np.nan, -2])


def test_read_expression_refuses_words(tmp_path):
    path = tmp_path / "expression.tsv"
    path.write_text("gene\texpression\na\t1\nb\thigh\n")
    message = refusal(lambda: read_expression(path))
    assert f"Line 3 of {path}" in message
    assert "'high'" in message
    path.write_text("gene,expression\na,1\n")
    message = refusal(lambda: read_expression(path))
    assert "is separated by commas; wanted columns separated by tabs" in message


def test_read_expression_checks_a_table_too():
    table = expression_table(a=1 / 3, b=np.nan, c=-1e-300).assign(other=0)
    found = read_expression(table)
    assert found["expression"].tolist()[::2] == [1 / 3, -1e-300]
    assert list(found) == ["gene", "expression"]
    message = refusal(
        lambda: read_expression(table.astype({"expression": object}).replace(1 / 3, "x"))
    )
    assert "'x'" in message


# --- promoters from files -------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """Chr1 has 20 bases, plus, minus, edge and unknown genes; upstream windows are 4 bp."""
    paths = {name: tmp_path / name for name in ("genome.fa", "genes.bed", "expression.tsv")}
    paths["genome.fa"].write_text(">chr1\nACGTACGTAC\nGGCCTTNNNN\n")
    paths["genes.bed"].write_text(
        "chr1\t6\t9\tplus\t0\t+\n"  # [2, 6): GTAC
        "chr1\t8\t12\tminus\t0\t-\n"  # [12, 16): CCTT, from the other strand AAGG
        "chr1\t1\t9\tedge\t0\t+\n"  # [-3, 1): NNNA
        "chr1\t5\t18\tgap\t0\t-\n"  # [18, 22): NN and 2 outside
        "chr1\t3\t9\tnear\t0\t+\n"  # [-1, 3): NACG
        "chr1\t3\t9\tsilent\t0\t+\n"
    )
    paths["expression.tsv"].write_text(
        "gene\texpression\nminus\t-1\nplus\t2.5\nedge\t1\ngap\t1\nnear\t3\n"
    )
    return paths


def test_load_promoters(files):
    promoters = load_promoters(*files.values(), length=4, max_n=0.25, max_empty=0.5)
    assert decode(promoters.x) == ["GTAC", "AAGG", "NACG"]
    assert promoters.x.dtype == torch.int8
    assert promoters.y.tolist() == [2.5, -1.0, 3.0]
    assert promoters.y.dtype == torch.float32
    assert promoters.genes["name"].tolist() == ["plus", "minus", "near"]
    assert promoters.genes["padded"].tolist() == [0, 0, 1]
    assert promoters.report.values.tolist() == [
        ["silent", "no expression"],
        ["edge", "75% N, of which 3 bp outside the chromosome"],
        ["gap", "100% N, of which 2 bp outside the chromosome"],
    ]


def test_load_promoters_from_tables(files):
    genes = gene_table(("plus", 6)).assign(family=7)
    promoters = load_promoters(files["genome.fa"], genes, expression_table(plus=1.0), length=4)
    assert decode(promoters.x) == ["GTAC"]
    assert promoters.genes["family"].tolist() == [7]


def test_a_wrong_genome_is_all_n(files):
    files["genome.fa"].write_text(">chr1\nN\n")
    message = refusal(lambda: load_promoters(*files.values(), length=4))
    assert "chr1 has 1 bp" in message


@pytest.mark.parametrize(
    ("max_empty", "wanted"), [(0.25, "5 have more than 10% N"), (1, "Each promoter has more than")]
)
def test_a_genome_without_sequence(files, max_empty, wanted):
    files["genome.fa"].write_text(f">chr1\n{99 * 'N'}\n")
    assert wanted in refusal(lambda: load_promoters(*files.values(), length=4, max_empty=max_empty))


def test_a_gene_on_an_unknown_chromosome_is_a_reported_loss(files):
    genes = gene_table(("plus", 6), ("odd", 6)).assign(chrom=["chr1", "chrUn"])
    values = expression_table(plus=1.0, odd=2.0)
    promoters = load_promoters(files["genome.fa"], genes, values, length=4, max_empty=0.5)
    assert promoters.genes["name"].tolist() == ["plus"]
    assert promoters.y.tolist() == [1]
    assert promoters.report.values.tolist() == [["odd", "genome.fa has no chromosome 'chrUn'"]]
    message = refusal(lambda: load_promoters(files["genome.fa"], genes, values, length=4))
    assert all(word in message for word in ("chrUn", "1 are not in the genome", "max_empty=0.5"))


@pytest.mark.parametrize("max_n", [-0.1, 1.1, float("nan")])
def test_max_n_refused(files, max_n):
    assert str(max_n) in refusal(lambda: load_promoters(*files.values(), length=4, max_n=max_n))


def test_names_that_are_numbers_or_have_spaces(files):
    genes = gene_table(("7157", 6), ("TP53", 6))
    table = pd.DataFrame({"gene": pd.Series([7157, "TP53 "], dtype=object), "expression": [1.0, 2]})
    assert load_promoters(files["genome.fa"], genes, table, length=4).y.tolist() == [1, 2]
    other = pd.DataFrame({"gene": ["ENSG1"], "expression": [1.0]})
    message = refusal(lambda: load_promoters(files["genome.fa"], genes, other, length=4))
    assert "'7157', 'TP53' and 'ENSG1'" in message


# --- E. coli ------------------------------------------------------------------------------------


def test_ecoli(mirror):
    table = ecoli_promoters()
    assert len(table) == 17_767
    native = table[table["start"].notna()]
    assert (native["sequence"].str.len() == 150).all()
    assert (native["end"] - native["start"] == 150).all()
    assert len(table) - len(native) == 96
    assert table["strand"].value_counts().to_dict() == {"-": 8713, "+": 8476}
    assert table["sequence"].duplicated().sum() == 150
    assert table.loc[table["active"], "expression"].min() > 0.246
    assert table.loc[~table["active"], "expression"].max() < 0.246
    assert round(table["expression"].median(), 2) == 0.03


def test_ecoli_sequences_lie_along_the_promoter(mirror):
    """TATAAT starts 12 to 14 bp before the TSS at index 120, on both strands."""
    table = ecoli_promoters().query("expression > 1")
    for strand in "+-":
        seqs = table.loc[table["strand"] == strand, "sequence"]
        places = seqs.str.find("TATAAT")
        assert places[places >= 0].mode()[0] in (106, 107)


def test_ecoli_blocks(mirror):
    table = ecoli_promoters().dropna(subset="start")
    split = split_by_block(table["start"], 150)
    assert [len(part) for part in split] == [14137, 1766, 1763]  # 5 reach into a gap
    # Genes that the genome has several times are alike in all parts, however far apart they lie.
    train, _, test = (set(table["sequence"].iloc[part]) for part in split)
    assert len(train & test) == 11
