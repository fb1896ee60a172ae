"""Loci whose truth is known: motifs with written-down effects, sequences, reads.

`simulate` makes them, `write_files` writes them as real data come; `truth` and `MOTIFS` are the
rules; `rates`, `scan` and `log_rate` say what any sequence does under them; `noise_ceiling` and
`recovery` judge models. `simulate_procap` makes the loci of Chapter 4. `simulate_harder` breaks the
rules that Chapter 3's network assumes; `harder_rates` and `harder_scan` are its truth.
"""

from tssbook.simulator.files import FILES, write_files
from tssbook.simulator.harder import (
    DECOY,
    HarderLoci,
    harder_rates,
    harder_scan,
    simulate_harder,
    write_motifs,
)
from tssbook.simulator.procap import ProcapLoci, peak_windows, procap_rates, simulate_procap
from tssbook.simulator.rates import log_rate, rates, scan
from tssbook.simulator.rules import MOTIFS, Truth, truth
from tssbook.simulator.score import noise_ceiling, recovery
from tssbook.simulator.simulation import Simulation, simulate

__all__ = [
    "DECOY",
    "FILES",
    "MOTIFS",
    "HarderLoci",
    "ProcapLoci",
    "Simulation",
    "Truth",
    "harder_rates",
    "harder_scan",
    "log_rate",
    "noise_ceiling",
    "peak_windows",
    "procap_rates",
    "rates",
    "recovery",
    "scan",
    "simulate",
    "simulate_harder",
    "simulate_procap",
    "truth",
    "write_files",
    "write_motifs",
]
