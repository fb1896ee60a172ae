"""Effects of single-base changes on Puffin's totals, computed from what they change.

The first layer of `SimpleNet` and `Puffin` sees 51 bases, so a changed base alters the
activations of at most 51 positions. All that follows is linear up to the last softplus, so the
difference of the activations is pushed through the effect kernels. That is ``D``, at each of the
651 positions that a change reaches, and a total changes by the sum of
``softplus(y + D) - softplus(y)``.

The push is most of the work: 51 x 80 differences times kernels of 601 bases, for ten tracks and
each of 14,000 changes. It is a convolution of something short with something long, so the long is
cut in sections, and each is a product in a frequency domain of 143 points (overlap-save). So
short a Fourier transform is one more matrix product, which a processor does at its full speed.
Everything is exact up to rounding.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from tssbook.interpret._incremental_cnn import Changes, product
from tssbook.interpret.heads import Totals
from tssbook.models.puffin import MARGIN, Puffin, SimpleNet, require_context

__all__ = ["totals_changes"]

# So many at a time that what they need stays in the processor's cache.
_EDITS = 128
_SECTION = 93  # outputs of one short transform; 7 sections are the 651 positions within reach


def totals_changes(model: Totals, x: Tensor, bases: Tensor, positions: Tensor) -> Changes:
    """Yield the changes of the totals after the softplus, some edits at a time.

    Parameters
    ----------
    model
        Around a `SimpleNet` or `Puffin`.
    x
        One sequence, ``(4, L)``, ``float32``, on the model's device.
    bases, positions
        The new base (0 to 3) of each edit and its place, ``(E,)``.
    """
    families = _families(model.model, x)
    motifs, *others = families
    transform = _Transform(motifs.kernels, motifs.width)
    spreads = [_spread(family.kernels, family.width) for family in others]
    y = model.model.effects(*(family.activations()[None] for family in families))[0]
    y[:, :MARGIN] = y[:, -MARGIN:] = -math.inf  # softplus makes it 0, whatever is added
    reach = 2 * MARGIN + 1
    y = F.pad(y, (MARGIN, MARGIN), value=-math.inf)
    inner, outer = (part.unfold(1, reach, 1) for part in (y, F.softplus(y)))  # (T, L, 651)
    for index in torch.arange(len(positions)).split(_EDITS):
        where, base = positions[index].to(x.device), bases[index].to(x.device)
        changed = inner[:, where]  # (T, E, 651)
        changed += transform.push(motifs.change(base, where, edits_first=False))
        for family, spread in zip(others, spreads, strict=True):
            change = family.change(base, where, edits_first=True)  # (E, width, C)
            effect = product(change.flatten(1), spread).unflatten(1, (len(y), -1))
            edge = (reach - effect.shape[-1]) // 2
            changed[..., edge : reach - edge] += effect.transpose(0, 1)  # (T, E, positions)
        yield index, ((F.softplus(changed) - outer[:, where]).sum(-1).T,)


# --- the first layer ------------------------------------------------------------------------


class _Family(NamedTuple):
    """The first layer's filters of one width, on both strands, over one unchanged sequence.

    Around an edit at ``p``, place ``o`` of ``width`` is position ``p - width // 2 + o``. Rows
    are positions too, with ``width // 2`` at either end that do not exist.
    """

    steps: Tensor  # (width * 20, C): what 4 new bases add in place of 5 old ones, N included
    codes: Tensor  # (L,): the old bases
    before: Tensor  # (L + width - 1, C)
    after: Tensor
    gate: Callable[[Tensor], Tensor]
    kernels: Tensor  # (T, C, taps), as a convolution layer has them

    @property
    def width(self) -> int:
        return len(self.steps) // 20

    def activations(self) -> Tensor:
        """Return the unchanged activations, ``(C, L)``."""
        half = self.width // 2
        return self.after[half : len(self.after) - half].T

    def change(self, bases: Tensor, positions: Tensor, *, edits_first: bool) -> Tensor:
        """Return the changes of the activations around some edits.

        ``(E, width, C)`` with ``edits_first``, otherwise ``(width, E, C)``.
        """
        place = torch.arange(self.width, device=bases.device)[:, None]  # (width, 1)
        step = place * 20 + bases * 5 + self.codes.index_select(0, positions)  # (width, E)
        row = place + positions
        if edits_first:
            step, row = step.T, row.T
        shape, step, row = row.shape, step.flatten(), row.flatten()
        change = self.before.index_select(0, row).add_(self.steps.index_select(0, step))
        change = self.gate(change).sub_(self.after.index_select(0, row))
        return change.view(*shape, -1)


def _families(model: SimpleNet | Puffin, x: Tensor) -> list[_Family]:
    """Run the first layer over the unchanged sequence: motifs, initiators and trinucleotides."""
    require_context(x[None])
    gate, layers = F.silu, [(model.conv, model.deconv.weight)]
    # A transposed convolution has its channels and its taps the other way round.
    layers.append((model.conv_inr, model.deconv_inr.weight.transpose(0, 1).flip(-1)))
    if isinstance(model, Puffin):
        gate = F.softplus
        layers.append((model.conv_sim, model.deconv_sim.weight))
    codes = torch.where(x.any(0), x.argmax(0), 4)
    families = []
    for conv, kernels in layers:
        weight, bias = torch.cat((conv.weight, conv.weight.flip(1, 2))), conv.bias.repeat(2)
        half = weight.shape[-1] // 2
        before = F.conv1d(x[None], weight, bias, padding=half)[0].T  # (L, C)
        table = F.pad(weight.flip(-1).permute(2, 1, 0), (0, 0, 0, 1))  # (width, 5, C)
        steps = (table[:, :4, None] - table[:, None]).flatten(0, 2)
        # What stands beyond the ends does not matter: it reaches no central position.
        before = F.pad(before, (0, 0, half, half))
        families.append(_Family(steps, codes, before, gate(before), gate, kernels))
    return families


# --- the second layer -----------------------------------------------------------------------


def _spread(kernels: Tensor, width: int) -> Tensor:
    """Write narrow kernels as the matrix from changes to effects.

    Returns
    -------
    torch.Tensor
        ``(T * positions, width * C)``: positions are ``width + taps - 1``, all that are reached.
    """
    n_tracks, n_filters, taps = kernels.shape
    matrix = kernels.new_zeros(n_tracks, width + taps - 1, width, n_filters)
    for place in range(width):
        matrix[:, place : place + taps, place] = kernels.flip(-1).transpose(1, 2)
    return matrix.flatten(0, 1).flatten(1)


def _precise(kernels: Tensor) -> Tensor:
    """Return kernels in double precision, on the CPU: not every accelerator has it."""
    return kernels.detach().cpu().double()


class _Transform:
    """A convolution of something short with long kernels, section by section of the output.

    A section's outputs depend on as many taps and on ``width - 1`` more. A cyclic convolution of
    that size has them at its end, unharmed by what comes around.
    """

    def __init__(self, kernels: Tensor, width: int) -> None:
        n_tracks, _, taps = kernels.shape
        size = _SECTION + width - 1  # odd, so that the frequencies are 0 and pairs
        self.n_tracks, self.reach = n_tracks, width + taps - 1
        n_sections = math.ceil(self.reach / _SECTION)
        filled = F.pad(_precise(kernels).flip(-1), (width - 1, n_sections * _SECTION - taps))
        sections = filled.unfold(-1, size, _SECTION)  # (T, C, sections, size)
        spectrum = torch.fft.rfft(sections).permute(3, 0, 2, 1)  # (F, T, sections, C)
        re, im = (part.to(kernels).flatten(1, 2) for part in (spectrum.real, spectrum.imag))
        # (a + bi)(c + di) = (ac - bd) + (ad + bc)i, for real and imaginary part of the change.
        self.for_re, self.for_im = torch.cat((re, im), 1), torch.cat((-im, re), 1)
        frequency = torch.arange(size // 2 + 1, dtype=torch.float64)[:, None]
        angle = 2 * math.pi / size * frequency * torch.arange(size)
        waves = torch.stack((angle.cos(), -angle.sin()), 1)  # (F, re and im, size)
        self.forth = waves[..., :width].flatten(0, 1).to(kernels)
        waves[1:] *= 2  # each stands for its negative frequency as well
        self.back = (waves[..., width - 1 :].flatten(0, 1).T / size).to(kernels).contiguous()

    def push(self, change: Tensor) -> Tensor:
        """Return the effects of changes ``(width, E, C)``, ``(T, E, positions reached)``."""
        n_edits = change.shape[1]
        parts = product(self.forth, change.flatten(1).T).view(-1, 2, *change.shape[1:])
        effect = torch.bmm(self.for_re, parts[:, 0].transpose(1, 2))
        effect.baddbmm_(self.for_im, parts[:, 1].transpose(1, 2))  # (F, 2 * T * sections, E)
        effect = product(effect.view(len(self.forth), -1).T, self.back)
        effect = effect.view(self.n_tracks, -1, n_edits, _SECTION).transpose(1, 2)
        return effect.flatten(2)[..., : self.reach]
