"""annotation: genes of GTF and GFF3 by hand and on GENCODE, and what is refused."""

from __future__ import annotations

import gzip

import pandas as pd
import pytest

from tests.support import refusal
from tssbook.data import NoIntervals, read_gtf, read_tss
from tssbook.data.tables import read_bed

GTF = (
    "#!genome-build x\n"
    'chr1\tHAVANA\tgene\t11\t20\t.\t+\t.\tgene_id "E1.2"; gene_type "lincRNA"; gene_name "A; B"; '
    "level 2;\n"
    'chr1\tHAVANA\texon\t11\t15\t.\t+\t.\tgene_id "E1.2";\n'
    'chr2\tHAVANA\tgene\t1\t5\t.\t-\t.\tgene_id "E2.1"\n'
)
GFF = (
    "##gff-version 3\n"
    "chrI\tSGD\tgene\t335\t649\t.\t+\t.\tID=YAL069W;Name=YAL069W;gene=FLO%3B1;biotype=orf\n"
    "chrI\tSGD\tCDS\t335\t649\t.\t+\t0\tParent=YAL069W\n"
    "##FASTA\n>chrI\nACGT\n"
)


def written(folder, text: str, name: str = "genes.gtf"):
    path = folder / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


@pytest.mark.parametrize("name", ["genes.gtf", "genes.gtf.gz"])
def test_gtf(tmp_path, name):
    genes = read_gtf(written(tmp_path, GTF, name))
    assert genes.to_dict("list") == {
        "chrom": ["chr1", "chr2"], "start": [10, 0], "end": [20, 5], "name": ["A; B", "E2.1"],
        "score": [".", "."], "strand": ["+", "-"], "id": ["E1.2", "E2.1"], "type": ["lincRNA", ""],
    }  # fmt: skip
    assert read_tss(genes)["tss"].tolist() == [10, 4]  # the first base that is transcribed
    pd.testing.assert_frame_equal(read_bed(genes), genes)
    assert read_gtf(written(tmp_path, GTF), "exon")["end"].tolist() == [15]


def test_gff3_with_sequences_at_its_end(tmp_path):
    (gene,) = read_gtf(written(tmp_path, GFF, "genes.gff3")).to_dict("records")
    wanted = {"chrom": "chrI", "start": 334, "end": 649, "name": "YAL069W", "type": "orf"}
    assert {name: gene[name] for name in wanted} == wanted


def test_no_such_feature_names_those_that_are_there(tmp_path):
    path = written(tmp_path, GTF)
    assert f"{path} has no 'mRNA' in its third column: it has exon, gene." in refusal(
        lambda: read_gtf(path, "mRNA"), NoIntervals
    )
    assert "is empty" in refusal(lambda: read_gtf(written(tmp_path, "# nothing\n")), NoIntervals)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("chr1\t5\t9\tname", "Line 1 .* has 4 columns"),
        ("chr1\tx\tgene\t0\t9\t.\t+\t.\t", "Line 1 .* the start '0'"),
        ("chr1\tx\tgene\t9\t8\t.\t+\t.\t", "Line 1 .* the start '9' and the end '8'"),
        ("chr1\tx\tgene\t1.5\t8\t.\t+\t.\t", "Line 1 .* the start '1.5'"),
        ("chr1\tx\tgene\t1\t8\t.\t*\t.\t", r"Line 1 .* the strand '\*'"),
    ],
)
def test_a_line_that_is_none(tmp_path, line, said):
    with pytest.raises(ValueError, match=said):
        read_gtf(written(tmp_path, line + "\n"))


def test_gencode_of_chr22(mirror):
    genes = read_gtf(mirror / "gencode_hg19_chr22.gtf.gz")
    assert len(genes) == 1263
    (gene,) = genes[genes["name"] == "ARVCF"].to_dict("records")
    assert (gene["strand"], gene["type"]) == ("-", "protein_coding")
    table = pd.read_csv(mirror / "human_tss.tsv", sep="\t")
    known = table[(table["assembly"] == "hg19") & (table["ensg"] == gene["id"].split(".")[0])]
    assert (known["tss0"] - read_tss(pd.DataFrame([gene]))["tss"].iat[0]).abs().min() < 500
