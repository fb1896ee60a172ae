"""Random inputs against slow and simple ways to the same result."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pandas as pd
import pytest
import torch

from tests.attack.attacks import SURVIVED, TRIED, rounds
from tests.data.test_bigwig import write as write_bigwig
from tssbook.data.bigwig import BigWigs
from tssbook.data.blacklists import Blacklist
from tssbook.data.fasta import Fasta
from tssbook.data.genome import padding, sequences, windows
from tssbook.data.store import Writer, open_store
from tssbook.data.tables import read_bed
from tssbook.metrics import jsd, mse, pearson_r, r2
from tssbook.sequence import (
    codes,
    decode,
    one_hot,
    one_hot_codes,
    reverse_complement,
    reverse_complement_codes,
)
from tssbook.training.batches import Batches

OTHER = dict(zip("ACGTN", "TGCAN", strict=True))


@contextmanager
def case(kind: str, seed: int) -> Iterator[np.random.Generator]:
    """Give a generator for one case, count it, and name its seed where it fails."""
    TRIED[f"properties, {kind}"] += 1
    try:
        yield np.random.default_rng(seed)
    except BaseException as error:
        error.add_note(f"{kind}, seed {seed}")
        raise
    SURVIVED[f"properties, {kind}"] += 1


def letters(rng: np.random.Generator, n: int, alphabet: str = "ACGTN") -> str:
    return "".join(rng.choice(list(alphabet), n))


def test_sequences_there_and_back():
    """Letters, codes and one-hot rows say the same, and so does the other strand."""
    for seed in range(rounds(6000, 100)):
        with case("letters", seed) as rng:
            n, length = rng.integers(1, (5, 60))
            rows = [letters(rng, length) for _ in range(n)]
            written = ["".join(c.lower() if rng.random() < 0.3 else c for c in r) for r in rows]
            x = one_hot(written)
            assert decode(x) == rows
            assert decode(one_hot(written[0])) == rows[0]
            assert torch.equal(x.to(torch.int8), one_hot_codes(codes(written)))
            backwards = ["".join(OTHER[c] for c in reversed(row)) for row in rows]
            assert decode(reverse_complement(x)) == backwards
            assert torch.equal(reverse_complement(reverse_complement(x)), x)
            assert np.array_equal(codes(backwards), reverse_complement_codes(codes(rows)))


def test_windows(tmp_path):
    """Windows on both strands, over both ends of a chromosome, are slices of it with N around."""
    rng = np.random.default_rng(0)
    chroms = {name: letters(rng, n, "ACGTNacgtRY") for name, n in (("a", 1), ("b", 37), ("c", 300))}
    plain = {
        name: "".join(c if c in "ACGT" else "N" for c in s.upper()) for name, s in chroms.items()
    }
    text = "".join(
        f">{name} x\n" + "".join(f"{s[i : i + 7]}\n" for i in range(0, len(s), 7))
        for name, s in chroms.items()
    )
    (tmp_path / "genome.fa").write_text(text)
    fasta = Fasta(tmp_path / "genome.fa")
    for seed in range(rounds(2500, 50)):
        with case("windows", seed) as rng:
            before, after = rng.integers((0, 1), 60).tolist()
            chrom = rng.choice(list(chroms), 3)
            loci = pd.DataFrame({
                "chrom": chrom, "strand": rng.choice(["+", "-"], 3),
                "tss": [rng.integers(len(chroms[c])) for c in chrom],
            })  # fmt: skip
            around = windows(loci, before, after)
            found, outside = sequences(fasta, around), padding(fasta, around)
            for row, (name, strand, tss) in enumerate(loci.itertuples(index=False)):
                step = 1 if strand == "+" else -1
                places = [tss + step * i for i in range(-before, after)]
                inside = [0 <= p < len(plain[name]) for p in places]
                wanted = [
                    plain[name][p] if ok else "N" for p, ok in zip(places, inside, strict=True)
                ]
                wanted = wanted if strand == "+" else [OTHER[c] for c in wanted]
                assert "".join("ACGTN"[c] for c in found[row]) == "".join(wanted)
                assert outside[row] == inside.count(False)


def test_bigwigs(tmp_path):
    """Windows of files with gaps, NaN, one sign, and without some chromosomes."""
    n_windows = rounds(3000, 60)
    for number in range(n_windows // 20):
        rng = np.random.default_rng([1, number])
        sizes = {"chr1": 400, "chr2": int(rng.integers(1, 60)), "chr3": 90}
        paths, arrays = [], []
        for name, sign in (("a.plus.bw", 1), ("a.minus.bw", -rng.choice([-1, 1]))):
            has = [c for c in sizes if c == "chr1" or rng.random() < 0.7]
            # Where bigWigs hold nothing is None; pyBigWig wants a value in each chromosome.
            values = {}
            for chrom in has:
                row = np.where(
                    rng.random(sizes[chrom]) < 0.4, sign * rng.random(sizes[chrom]), None
                )
                row[rng.random(len(row)) < 0.1] = np.nan
                row[0] = sign
                values[chrom] = row.tolist()
            path = tmp_path / f"{number}.{name}"
            paths.append(write_bigwig(path, values))
            filled = {c: [0 if v is None else v for v in row] for c, row in values.items()}
            arrays.append(
                {c: np.nan_to_num(np.abs(np.array(row, np.float32))) for c, row in filled.items()}
            )
        files = BigWigs(paths)
        for seed in range(20):
            with (
                case("bigWigs", number * 20 + seed) as rng,
                warnings.catch_warnings(action="ignore"),
            ):
                length = int(rng.integers(1, 120))
                chroms = rng.choice(list(sizes), 4)
                starts = np.array([rng.integers(-130, sizes[c] + 130) for c in chroms])
                found = files.read(chroms, starts, length)
                for row, (chrom, start) in enumerate(zip(chroms, starts, strict=True)):
                    for track, held in enumerate(arrays):
                        wanted = np.zeros(length, np.float32)
                        for i in range(length):
                            if chrom in held and 0 <= start + i < sizes[chrom]:
                                wanted[i] = held[chrom][start + i]
                        assert np.array_equal(found[row, track], wanted)


def test_blacklists(tmp_path):
    """Lists that overlap, touch and lie out of order, base by base."""
    for number in range(rounds(1500, 30)):
        with case("blacklists", number) as rng:
            n = int(rng.integers(1, 12))
            starts = rng.integers(0, 150, n)
            places = [
                (str(rng.choice(["a", "b"])), s, s + int(rng.integers(1, 40))) for s in starts
            ]
            path = tmp_path / "bad.bed"
            path.write_text("".join(f"{c}\t{s}\t{e}\n" for c, s, e in places))
            by = rng.random() < 0.5
            blacklist = (
                Blacklist(path, [0, 2], replace_by=[1, 3], factor=0.5) if by else Blacklist(path)
            )
            chroms, begins, length = rng.choice(["a", "b", "c"], 3), rng.integers(-40, 160, 3), 50
            tracks = rng.random((3, 4, length)).astype(np.float32)
            wanted = tracks.copy()
            for row in range(3):
                for i in range(length):
                    at = begins[row] + i
                    if any(c == chroms[row] and s <= at < e for c, s, e in places):
                        new = tracks[row, [1, 3], i] * np.float32(0.5)
                        wanted[row, [0, 2] if by else slice(None), i] = new if by else 0
            blacklist.apply(tracks, chroms, begins)
            assert np.array_equal(tracks, wanted)


def test_batches():
    """Every chosen row comes once an epoch; an epoch is the same whenever it is asked for."""
    for seed in range(rounds(3000, 60)):
        with case("batches", seed) as rng:
            n, size = int(rng.integers(1, 50)), int(rng.integers(1, 20))
            rows = None if rng.random() < 0.5 else rng.permutation(n)[: rng.integers(1, n + 1)]
            chance = None if rng.random() < 0.2 else int(rng.integers(100))
            x, y = torch.arange(n), torch.arange(n) * 2.0
            batches = Batches(x, y, batch_size=size, seed=chance, rows=rows)
            chosen = list(range(n)) if rows is None else [int(r) for r in rows]
            epochs = []
            for epoch in range(3):
                batches.set_epoch(epoch)
                found = list(batches)
                seen = torch.cat([part for part, _ in found]).tolist()
                assert sorted(seen) == sorted(chosen)
                assert torch.cat([part for _, part in found]).tolist() == [2.0 * i for i in seen]
                assert [len(part) for part, _ in found[:-1]] == [size] * (len(found) - 1)
                assert len(found) == len(batches) == -(-len(chosen) // size)
                assert batches.order(epoch).tolist() == seen
                epochs.append(seen)
            again = Batches(x, y, batch_size=size, seed=chance, rows=rows)
            again.set_epoch(2)
            assert torch.cat([part for part, _ in again]).tolist() == epochs[2]
            assert chance is not None or epochs == [chosen] * 3


def test_bed(tmp_path):
    """Odd spaces, ends of lines, a byte-order mark, comments: the same intervals."""
    for seed in range(rounds(2500, 50)):
        with case("BED", seed) as rng:
            n, width = int(rng.integers(1, 12)), int(rng.integers(3, 7))
            tabs, end = rng.random() < 0.5, str(rng.choice(["\n", "\r\n"]))
            rows, text = [], "\ufeff" if rng.random() < 0.5 else ""
            for i in range(n):
                start = int(rng.integers(10**9))
                chrom = str(rng.choice(["chr1", "1", "chrUn_KI270742v1", "HLA-A*01:01", "é"]))
                row = [
                    chrom,
                    start,
                    start + int(rng.integers(1, 99)),
                    f"p{i}",
                    i,
                    rng.choice(list("+-.")),
                ]
                row = [str(part) for part in row[:width]]
                rows.append(row)
                if rng.random() < 0.3:
                    text += (
                        str(rng.choice(["# no", "track name=x", "", "browser position a:1-2"]))
                        + end
                    )
                pad = lambda: " " * int(rng.integers(0, 3))  # noqa: E731
                text += ("\t" if tabs else " " + pad()).join(
                    pad() + part + pad() if tabs and j else part for j, part in enumerate(row)
                ) + pad() + end  # fmt: skip
            text = text if rng.random() < 0.5 else text.removesuffix(end)
            path = tmp_path / "a.bed"
            path.write_text(text, encoding="utf-8", newline="")
            found = read_bed(path)
            assert (
                found.columns.tolist()
                == ["chrom", "start", "end", "name", "score", "strand"][:width]
            )
            assert found.astype(str).to_numpy().tolist() == rows
            assert read_bed(found).equals(found)


def test_stores(tmp_path):
    """Whatever is written, in whatever parts and with whatever breaks, comes back."""
    for seed in range(rounds(500, 12)):
        with case("stores", seed) as rng:
            n = int(rng.integers(1, 30))
            kinds = rng.choice(["uint8", "float32", "int64", "float64"], 2)
            shapes = {
                f"a{i}": ((*map(int, rng.integers(1, 5, i)),), str(k)) for i, k in enumerate(kinds)
            }
            values = {
                name: rng.integers(0, 200, (n, *shape)).astype(kind)
                for name, (shape, kind) in shapes.items()
            }
            table = pd.DataFrame({"x": rng.integers(0, 9, n), "y": rng.choice(["a", "b c"], n)})
            folder, made_from = tmp_path / str(seed), {"seed": seed, "more": [1.5, None, "é"]}
            writer = Writer(folder, n, shapes, made_from)
            while writer.done < n:
                part = slice(writer.done, writer.done + int(rng.integers(1, 9)))
                writer.write(writer.done, **{name: array[part] for name, array in values.items()})
                if rng.random() < 0.3:
                    with writer:
                        pass
                    writer = Writer(folder, n, shapes, made_from)
            for store in (writer.finish(loci=table), open_store(folder)):
                assert store.made_from == made_from
                assert store.tables["loci"].equals(table)
                for name, array in values.items():
                    assert store.arrays[name].dtype == array.dtype
                    assert np.array_equal(store.arrays[name], array)
            shutil.rmtree(folder)


def test_metrics():
    """Symmetry, bounds, and what does not change them."""
    for seed in range(rounds(1500, 40)):
        with case("metrics", seed) as rng:
            n, length = rng.integers(2, (6, 40))
            a, b = (torch.from_numpy(rng.gamma(0.5, 3, (n, length))) for _ in range(2))
            factor, offset = rng.uniform(0.1, 9), rng.uniform(-5, 5)
            order = torch.from_numpy(rng.permutation(length))
            close = lambda x, y: torch.allclose(x, y, atol=1e-7)  # noqa: E731
            for metric in (mse, pearson_r, jsd):
                assert close(metric(a, b), metric(b, a))
            for metric in (mse, pearson_r, jsd, r2):
                assert close(metric(a[:, order], b[:, order]), metric(a, b))
            assert close(pearson_r(a * factor + offset, b), pearson_r(a, b))
            assert close(pearson_r(-a, b), -pearson_r(a, b))
            assert close(jsd(a * factor, b), jsd(a, b))
            assert close(mse(a * factor, b * factor), mse(a, b) * factor**2)
            assert close(r2(a * factor + offset, b * factor + offset), r2(a, b))
            assert (pearson_r(a, b).abs() <= 1 + 1e-12).all()
            assert ((jsd(a, b) >= 0) & (jsd(a, b) <= np.log(2) ** 0.5 + 1e-12)).all()
            assert (r2(a, b) <= pearson_r(a, b).square() + 1e-9).all()
            for metric, best in ((mse, 0.0), (jsd, 0.0), (pearson_r, 1.0), (r2, 1.0)):
                assert metric(a, a).numpy() == pytest.approx(best, abs=1e-7)
