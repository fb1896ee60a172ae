"""Archives and stores that somebody made to do harm: refused by name, soon, in little memory."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import resource
import tarfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from tests.attack.attacks import SERVER, Attack, end, outcome, start
from tests.models.procapnet_archives import ENCODE, archive, fold_member, member, special, stored
from tests.support import Bomb
from tssbook.data.store import Writer, open_store
from tssbook.models.procapnet import ProCapNet

SECONDS, MEGABYTES = 60, 400  # more than that for an archive of a few megabytes is harm
NAME = f"fold_0/{ENCODE.format(0)}"
END = bytes(1024)  # of a tar archive


def header(name: str, size: int, kind: bytes = tarfile.REGTYPE, fields: bytes = b"") -> bytes:
    """A header that claims what no writer would write; ``fields`` stand at byte 386, as sparse."""
    info = tarfile.TarInfo(name)
    info.type = kind
    block = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    block[124:136] = tarfile.itn(size, 12, tarfile.GNU_FORMAT)
    block[386 : 386 + len(fields)] = fields
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def packed(*parts: bytes | int) -> Callable[[Path], None]:
    """Write parts as members of a gzip file, read as one; a number stands for so many zeros."""

    def write(path: Path) -> None:
        with path.open("wb") as file:
            for part in parts:
                if isinstance(part, bytes):
                    file.write(gzip.compress(part, 1))
                else:  # compressed once, and not four thousand times
                    file.write(gzip.compress(bytes(1 << 20), 1) * (part >> 20))

    return write


def of(*members: Any) -> Callable[[Path], None]:
    return lambda path: archive(path, members) and None


def net() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return ProCapNet(2, 8).state_dict()


def _bomb(path: Path) -> None:
    archive(path, [fold_member(0, {"iconv.weight": Bomb(str(path.parent / "ran"))})])


def _old_bomb(path: Path) -> None:
    """A pickle without torch's zip around it."""
    buffer = io.BytesIO()
    torch.save({"a": Bomb(str(path.parent / "ran"))}, buffer, _use_new_zipfile_serialization=False)
    archive(path, [member(NAME, buffer.getvalue())])


def _zipped(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(NAME, stored(net()))


def _deflated(path: Path) -> None:
    """Zeros in the member's own zip: a thousandth of what they unpack to."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("archive/data.pkl", bytes(300 << 20))
    archive(path, [member(NAME, buffer.getvalue())])


SPARSE = tarfile.itn(0, 12, tarfile.GNU_FORMAT) + tarfile.itn(10**12, 12, tarfile.GNU_FORMAT)
HUGE = 600 << 20
ARCHIVES: dict[str, Callable[[Path], None]] = {
    "sparse": packed(header(NAME, 0, tarfile.GNUTYPE_SPARSE, SPARSE), END),
    "negative size": packed(header(NAME, -512), END),
    "negative size of another member": packed(header("readme", -512), END),
    "300 MB of zeros": packed(header(NAME, 300 << 20), 300 << 20, END),
    "300 MB of zeros in another member": packed(header("readme", 300 << 20), 300 << 20, END),
    "a size of terabytes": packed(header(NAME, 1 << 43), END),
    "a long name of 600 MB": packed(header("././@LongLink", HUGE, tarfile.GNUTYPE_LONGNAME), HUGE),
    "a long link of 600 MB": packed(header("././@LongLink", HUGE, tarfile.GNUTYPE_LONGLINK), HUGE),
    "an extended header of 600 MB": packed(header("x", HUGE, tarfile.XHDTYPE), HUGE),
    "a global header of 600 MB": packed(header("x", HUGE, tarfile.XGLTYPE), HUGE),
    "5,000 long names": packed(
        (header("././@LongLink", 1, tarfile.GNUTYPE_LONGNAME) + b"x".ljust(512, b"\0")) * 5000, END
    ),
    "5,000 extended headers": packed(
        (header("x", 10, tarfile.XHDTYPE) + b"10 a=bcde\n".ljust(512, b"\0")) * 5000, END
    ),
    "an extended header of nonsense": packed(
        header("x", 10, tarfile.XHDTYPE) + b"\xff9 size=-\n".ljust(512, b"\0"), END
    ),
    "an extended size of letters": packed(
        header("x", 12, tarfile.XHDTYPE) + b"12 size=abc\n".ljust(512, b"\0"), header(NAME, 0), END
    ),
    "zeros after the end": packed(END, 4 << 30),
    "a symbolic link": of(special(NAME, tarfile.SYMTYPE, "/etc/passwd")),
    "a symbolic link to itself": of(special(NAME, tarfile.SYMTYPE, ENCODE.format(0))),
    "a hard link": of(special(NAME, tarfile.LNKTYPE, "/etc/passwd")),
    "a device": of(special(NAME, tarfile.CHRTYPE)),
    "a pipe": of(special(NAME, tarfile.FIFOTYPE)),
    "a folder": of(special(NAME, tarfile.DIRTYPE)),
    "the same fold twice": of(fold_member(0, net()), fold_member(0, net())),
    "a pickle that runs code": _bomb,
    "an old pickle that runs code": _old_bomb,
    "a zip archive by another name": _zipped,
    "a deflated network": _deflated,
    "no tar": packed(b"GATTACA" * 1000),
    "nothing": packed(b""),
    "an empty file": lambda path: path.write_bytes(b"") and None,
    "a fold of 5,000 digits": of(member(f"fold_{'1' * 80}/a.fold{'1' * 80}.state_dict.torch", b"")),
}


def read_archive(path: Path, said: Any) -> None:
    before, begin = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    how = outcome(lambda: ProCapNet.from_published(path, 0).state_dict(), [path])
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10
    said.send((how, grown, time.monotonic() - begin))


@pytest.mark.parametrize("kind", ARCHIVES)
def test_archive_of_weights(tmp_path, kind):
    """Refused in a sentence that names the file, and nothing is run, written or filled up."""
    path = tmp_path / "nets.tar.gz"
    ARCHIVES[kind](path)
    here, there = SERVER.Pipe(duplex=False)
    with Attack("hostile archives") as attack:
        child = start(read_archive, path, there)
        if here.poll(SECONDS):
            (how, what), grown, seconds = here.recv()
            harm = None if how == "refused" else f"{how}: {what}"
            if grown > MEGABYTES:
                harm = f"{grown} MB of memory, {seconds:.1f} s"
        else:
            harm = f"no answer in {SECONDS} s"
        end(child, 5 if harm is None else 0.1)
        if [p.name for p in tmp_path.iterdir()] != ["nets.tar.gz"]:
            harm = "something was written"
        attack.tried(harm and f"{kind}: {harm}")


@pytest.mark.parametrize("name", [f"../{NAME}", f"/{NAME}", f"../../../{NAME}", f"./{NAME}"])
def test_names_lead_nowhere(tmp_path, name):
    """Nothing is unpacked to disk, so a name that leads outside is read as any other."""
    path = archive(tmp_path / "nets.tar.gz", [member(name, stored(net()))])
    with Attack("hostile archives") as attack:
        found = ProCapNet.from_published(path, 0).state_dict()
        same = all(torch.equal(found[key], tensor) for key, tensor in net().items())
        alone = [p.name for p in tmp_path.iterdir()] == ["nets.tar.gz"]
        attack.tried(None if same and alone else f"{name}: read {same}, nothing else {alone}")


# --- stores -------------------------------------------------------------------------------------

VALUES = {"values": ((3,), "uint16")}


def sealed_again(about: dict[str, Any]) -> str:
    """A description with the checksum that belongs to it, as an attacker writes it."""
    about.pop("checksum", None)
    checksum = hashlib.sha256(json.dumps(about).encode()).hexdigest()
    return json.dumps(about | {"checksum": checksum})


PATHS = [
    "../precious",
    "/etc/passwd",
    "a/b",
    "..",
    ".",
    "",
    "a\0b",
    "x" * 300,
    "../store/values.npy",
]
CHANGES: dict[str, Any] = {
    **{f"files {name[:20]!r}": {"files": {name: "0" * 64}} for name in PATHS},
    **{f"arrays {name[:20]!r}": {"arrays": {name: [2, "uint16", 3]}} for name in PATHS},
    "files is a list": {"files": ["values.npy"]},
    "files is text": {"files": "values.npy"},
    "files is nothing": {"files": None},
    "a file that is a number": {"files": {"values.npy": 7}},
    "arrays is nothing": {"arrays": None},
    "arrays is a number": {"arrays": 7},
    "complete is text": {"complete": "yes"},
    "made_from is nothing": {"made_from": None},
    "format is a list": {"format": [4]},
    "a pickle in an array": {},
}


@pytest.mark.parametrize("complete", [True, False])
@pytest.mark.parametrize("kind", CHANGES)
def test_store(tmp_path, kind, complete):
    """A foreign store is refused in a sentence, and its names lead nowhere."""
    folder, kept = tmp_path / "store", tmp_path / "precious.npy"
    with Writer(folder, 2, VALUES, {"seed": 1}) as writer:
        writer.write(0, values=np.ones((2, 3), np.uint16))
        writer.finish(loci=pd.DataFrame({"tss": [1, 2]}))
    kept.write_bytes(b"kept")
    (tmp_path / "precious").write_bytes(b"kept")
    about = json.loads((folder / "about.json").read_text()) | {"complete": complete}
    if kind == "a pickle in an array":
        np.save(folder / "values.npy", np.array([Bomb(str(tmp_path / "ran"))]), allow_pickle=True)
        about["files"]["values.npy"] = hashlib.sha256(
            (folder / "values.npy").read_bytes()
        ).hexdigest()
    (folder / "about.json").write_text(sealed_again(about | CHANGES[kind]))

    def write_anew() -> int:
        with Writer(folder, 2, VALUES, {"seed": 2}) as writer:
            return writer.done

    with Attack("hostile stores") as attack:
        for call in (lambda: open_store(folder), write_anew):
            how, what = outcome(call, [folder])
            harm = None if how == "refused" else f"{how}: {what}"
            if how == "read" and (call is write_anew or "arrays" in CHANGES[kind]):
                harm = None  # half a store is begun anew; of a whole one `arrays` is not used
            attack.tried(harm and f"{kind}: {harm}")
        names = sorted(path.name for path in tmp_path.iterdir() if path.suffix != ".lock")
        safe = names == ["precious", "precious.npy", "store"] and kept.read_bytes() == b"kept"
        attack.tried(None if safe else f"{kind}: {names}")
