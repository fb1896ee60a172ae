"""From a convolution's filters, or a stack of aligned sequences, to sequence logos.

Chapter 1, section 8. `read_meme` and `write_meme` exchange motifs with other programs.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from tssbook.files import kind, write_whole
from tssbook.sequence import ALPHABET, require_sequences

__all__ = [
    "checked_frequencies",
    "frequencies",
    "information",
    "read_meme",
    "similarity",
    "site_counts",
    "write_meme",
]


def frequencies(counts: Tensor) -> Tensor:
    """Turn counts of bases into frequencies.

    Parameters
    ----------
    counts
        ``(..., 4, L)``, not negative: for example ``one_hot(seqs).sum(0)``, where an N counts
        for no base.

    Returns
    -------
    torch.Tensor
        ``(..., 4, L)``; each column adds up to 1, or is NaN where nothing was counted.
    """
    _require_rows(counts)
    if (counts < 0).any():
        raise ValueError("The counts hold negative numbers; wanted 0 or more.")
    return counts / counts.sum(-2, keepdim=True)


def information(freqs: Tensor) -> Tensor:
    """Heights of the letters of an information-content logo, in bits.

    A column's information is ``2 + sum(f log2 f)``: 2 bits where one base is always there, 0
    where all four are equally frequent. Each letter gets its share ``f`` of it. No background
    other than one quarter per base is subtracted, and no correction is made for small samples,
    which look more informative than they are.

    Parameters
    ----------
    freqs
        ``(..., 4, L)``; each column adds up to 1, or is NaN, which stays NaN.

    Returns
    -------
    torch.Tensor
        ``(..., 4, L)``, bits.

    Source: Schneider and Stephens, 1990.
    """
    _require_rows(freqs)
    total = freqs.sum(-2)
    wrong = ~(total.isnan() | torch.isclose(total, torch.ones_like(total), atol=1e-4))
    if wrong.any():
        where = tuple(wrong.nonzero()[0].tolist())
        raise ValueError(
            f"Column {', '.join(map(str, where))} (counted from 0) adds up to "
            f"{float(total[where]):g}; wanted frequencies, which add up to 1: call frequencies "
            "first."
        )
    bits = 2 + torch.special.xlogy(freqs, freqs).sum(-2, keepdim=True) / torch.log(torch.tensor(2))
    return freqs * bits


@torch.no_grad()
def site_counts(conv: nn.Conv1d, x: Tensor, threshold: float) -> Tensor:
    """Count the bases under each filter wherever it responds above a threshold.

    Parameters
    ----------
    conv
        First layer of a model, ``(F, 4, W)`` weights, without padding, stride or dilation.
    x
        One-hot ``(N, 4, L)``.
    threshold
        A place counts if the response, bias included, is above this.

    Returns
    -------
    torch.Tensor
        ``(F, 4, W)`` counts; all zero for a filter that nothing activates.
    """
    require_sequences(x)
    plain = (conv.padding, conv.stride, conv.dilation) == ((0,), (1,), (1,))
    if not plain or conv.in_channels != x.shape[-2]:
        raise ValueError(
            f"The layer is {conv}; wanted 4 input channels and no padding, stride or dilation."
        )
    counts = torch.zeros_like(conv.weight)
    for part in x.to(conv.weight).split(1024):
        active = (conv(part) > threshold).to(part.dtype)  # (n, F, P)
        windows = part.unfold(-1, conv.kernel_size[0], 1)  # (n, 4, P, W)
        counts += torch.einsum("nfp,ncpw->fcw", active, windows)
    return counts


def similarity(matrix: Tensor, motif: Tensor) -> float:
    """Best Pearson correlation of a motif with a matrix, over all places where it fits inside.

    Parameters
    ----------
    matrix
        ``(4, L)``, such as the frequencies under a filter.
    motif
        ``(4, W)`` with ``W <= L``, such as ``one_hot("TAT")``.

    Returns
    -------
    float
        Between -1 and 1; NaN if the matrix is NaN or constant under every place.
    """
    _require_rows(matrix)
    _require_rows(motif)
    width = motif.shape[-1]
    if width > matrix.shape[-1]:
        raise ValueError(
            f"The motif has {width} columns and the matrix {matrix.shape[-1]}; wanted a motif "
            "that fits inside."
        )
    places = matrix.unfold(-1, width, 1).transpose(0, 1).flatten(1)  # (L - W + 1, 4 * W)
    both = torch.cat([motif.to(places).flatten()[None], places]).detach()
    fits = torch.corrcoef(both)[0, 1:]
    fits = fits[~fits.isnan()]  # where a matrix is constant under the motif
    return float(fits.max()) if len(fits) else math.nan


def read_meme(path: str | Path) -> dict[str, Tensor]:
    """Read the motifs of a file in MEME's text format, as JASPAR and HOCOMOCO offer them.

    Parameters
    ----------
    path
        The file, not compressed.

    Returns
    -------
    dict of str to torch.Tensor
        Frequencies ``(4, W)`` ``float64`` by what stands behind ``MOTIF``, such as
        ``"MA0004.1 Arnt"``, in the order of the file.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        The file is no text, holds no motif, two of one name, or half of one; a column does not
        add up to 1; or the letters are not A, C, G and T.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"There is no file {path}; wanted motifs in MEME's format.")
    content = Path(path).read_bytes()
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise ValueError(
            f"{path} is {kind(content) or 'no text'}; wanted motifs in MEME's format, not "
            "compressed."
        ) from None
    letters = re.search(r"^ALPHABET\s*=\s*(\S+)", text, re.MULTILINE)
    if letters and letters[1] != ALPHABET:
        raise ValueError(f"{path} has the alphabet {letters[1]}; wanted motifs of {ALPHABET}.")
    motifs: dict[str, Tensor] = {}
    for part in re.split(r"^MOTIF\b", text, flags=re.MULTILINE)[1:]:
        name = " ".join(part.split("\n", 1)[0].split())
        if name in motifs:
            raise ValueError(f"{path} has two motifs {name!r}; wanted each name once.")
        motifs[name] = _matrix(part, f"{path}, motif {name!r}")
    if not motifs:
        raise ValueError(f"{path} has no line that begins with MOTIF; wanted MEME's text format.")
    return motifs


def _matrix(part: str, where: str) -> Tensor:
    """Read the matrix of one motif, ``(4, W)``."""
    head = re.search(r"^letter-probability matrix:.*?\bw=\s*(\d+).*$", part, re.MULTILINE)
    if head is None:
        raise ValueError(
            f"{where}: there is no line 'letter-probability matrix: ... w= ...'; wanted one."
        )
    lines = [line.split() for line in part[head.end() :].strip().splitlines()]
    rows = [words for words in lines if words and re.fullmatch(r"[-+.\deE]+", words[0])]
    try:
        matrix = torch.tensor([[float(x) for x in row] for row in rows], dtype=torch.float64)
    except ValueError:
        matrix = torch.empty(0)
    if matrix.shape != (int(head[1]), len(ALPHABET)):
        raise ValueError(
            f"{where} has not the {head[1]} rows of four numbers that it says; is the file whole?"
        )
    checked_frequencies(matrix.T, where, tolerance=1e-2)  # files have a few digits
    return frequencies(matrix.T)


def write_meme(path: str | Path, motifs: Mapping[str, Tensor]) -> Path:
    """Write motifs in MEME's text format, for Tomtom, FIMO and the like.

    Parameters
    ----------
    path
        The file; an older one of that name is replaced when the new one is complete.
    motifs
        Frequencies ``(4, W)`` by name.

    Returns
    -------
    Path
        The file. It says a background of one quarter for each base, and nothing of numbers of
        sites, which a matrix does not know.

    Raises
    ------
    ValueError
        There is no motif, a matrix is none of frequencies, or a name is empty or no single line.
    OSError
        The file cannot be written.
    """
    if not motifs:
        raise ValueError("There are no motifs; wanted one or more, by name.")
    lines = ["MEME version 4", "", f"ALPHABET= {ALPHABET}", "", "strands: + -", ""]
    lines += ["Background letter frequencies", " ".join(f"{base} 0.25" for base in ALPHABET), ""]
    for name, freqs in motifs.items():
        if not name.strip() or len(name.splitlines()) != 1:
            raise ValueError(f"A motif has the name {name!r}; wanted words on one line.")
        matrix = checked_frequencies(freqs, f"The motif {name!r}")
        lines += [f"MOTIF {name}", f"letter-probability matrix: alength= 4 w= {matrix.shape[1]}"]
        lines += [" ".join(f"{f:.6f}" for f in column) for column in matrix.T] + [""]
    write_whole({Path(path): "\n".join(lines).encode()})
    return Path(path)


def checked_frequencies(
    matrix: Tensor | np.ndarray, name: str, *, tolerance: float = 1e-4
) -> np.ndarray:
    """Return a motif as numbers, ``(4, W)`` ``float64``; refuse what is none of frequencies.

    Raises
    ------
    ValueError
        The shape is another one, or a column does not add up to 1.
    """
    freqs = np.asarray(torch.as_tensor(matrix).detach().cpu(), dtype=np.float64)
    total = freqs.sum(0) if freqs.ndim else freqs
    fits = freqs.ndim == 2 and len(freqs) == 4 and np.allclose(total, 1, atol=tolerance)
    if not fits or (freqs < 0).any():
        raise ValueError(
            f"{name} is {freqs.shape}, with numbers from {freqs.min(initial=np.inf):g} on and "
            f"columns that add up to {total.min() if freqs.size else 0:g} or more; wanted (4, W), "
            "frequencies that add up to 1: call frequencies first."
        )
    return freqs


def _require_rows(x: Tensor) -> None:
    if x.ndim < 2 or x.shape[-2] != 4:
        raise ValueError(f"The array is {tuple(x.shape)}; wanted (..., 4, L), rows A, C, G, T.")
