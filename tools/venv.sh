#!/bin/sh
# Makes .venv and installs one dependency group of pyproject.toml, at the versions of
# requirements.lock, whose checksums pip compares with every file that it installs:
#     sh tools/venv.sh site     what the website needs (no torch)
#     sh tools/venv.sh lint     the linter
#     sh tools/venv.sh all      everything, and the library itself (editable)
# A stamp, written last, names what was installed: a second run ends at once, an interrupted one
# starts over. The stamp also holds this folder's path, because an editable install and a virtual
# environment do not survive being moved or copied.
set -eu
cd "$(dirname "$0")/.."
group=$1
here=$(pwd -P)
new_enough='import sys; sys.exit(sys.version_info < (3, 11))'
fingerprint=$(cksum pyproject.toml requirements.lock tools/venv.sh)

say() { echo "$*" >&2; }

find_python() {
    old= ; bare=
    if [ -n "${PYTHON:-}" ]; then # its path may hold spaces
        set -- "$PYTHON"
    else
        set -- python3.13 python3.12 python3.11 python3
    fi
    for candidate; do
        version=$("$candidate" -c 'import platform; print(platform.python_version())' 2>/dev/null) ||
            continue
        if ! "$candidate" -c "$new_enough"; then
            old="$candidate is $version"
        elif ! "$candidate" -c 'import ensurepip, venv' 2>/dev/null; then
            bare=$candidate
        else
            echo "$candidate"
            return
        fi
    done
    if [ -n "$bare" ]; then
        say "$bare cannot make virtual environments: its venv module is missing or incomplete." \
            "On Debian or Ubuntu install it with: sudo apt-get install python3-venv"
    else
        say "This book needs Python 3.11 or newer, but ${old:-no Python was found}:" \
            "install a newer one, or name one with PYTHON=/path/to/python3."
    fi
    exit 1
}

if [ -e .venv ] && ! .venv/bin/python -c "$new_enough" 2>/dev/null; then
    say "The Python of .venv no longer runs or is too old: making .venv again."
    rm -rf .venv
elif [ -f .venv/made-in ] && [ "$(cat .venv/made-in)" != "$here" ]; then
    say "This folder was moved or copied: making .venv again."
    rm -rf .venv
fi

for done in "$group" all; do
    stamp=.venv/installed-$done
    if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$fingerprint" ]; then
        exit 0
    fi
done

if [ ! -f .venv/made-in ]; then
    if [ -e .venv ]; then python=.venv/bin/python; else python=$(find_python); fi
    say "Making the virtual environment .venv with $("$python" --version)."
    "$python" -m venv .venv
    echo "$here" >.venv/made-in
fi

if [ -t 1 ]; then quiet=; else quiet=-q; fi
# Python compiles a module when it is first imported; to compile all of them, now, takes 40 s more.
install() { .venv/bin/python -m pip --disable-pip-version-check install --no-compile $quiet "$@"; }
# What the lock has no checksum of (PyTorch, and CUDA that comes with it) is installed without one.
locked() { install --no-require-hashes -c requirements.lock "$@"; }

rm -f .venv/installed-*
if [ "$group" = all ]; then note=" (with PyTorch: this takes minutes)"; else note=; fi
say "Installing what '$group' needs into .venv, once$note."
# The lock's own pip comes first: before 26.2 it was checksums for all packages or for none.
pip=.venv/pip.txt
sed -n '/^pip==/,/[^\\]$/p' requirements.lock >$pip
if [ ! -s $pip ]; then echo "pip>=26.2" >$pip; fi # an empty lock: the newest
install -r $pip
locked --group "$group"
if [ "$group" = all ]; then locked --no-build-isolation -e .; fi
echo "$fingerprint" >".venv/installed-$group"
