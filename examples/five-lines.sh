#!/bin/sh
# From a genome, reads and peaks to a trained network, its predictions and effects of variants.
# Takes the folder with the files (tssbook data simulate FOLDER makes one to try it with).
set -eu
cd "$1"
tssbook train mine --model ProCapNet --fasta genome.fa --loci peaks.bed --plus PRO-cap_plus.bw --minus PRO-cap_minus.bw --valid chr10 --test chr8 --test chr9 --set n_filters=16 --set n_layers=4 --epochs 5
tssbook predict mine --fasta genome.fa --loci peaks.bed --out predicted.bw
tssbook predict mine --fasta genome.fa --loci peaks.bed --out predicted.tsv
tssbook variants mine variants.vcf --fasta genome.fa --out effects.tsv
tssbook motifs filters mine --fasta genome.fa --loci peaks.bed --out filters.meme
