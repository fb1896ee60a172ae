"""Write the scripts of the live figures: one bundle, and the weights of their networks.

``python site/live.py [FOLDER]``; the default folder is that of this script, where Quarto looks for
them. The Sphinx build calls `write` itself. They are generated, never committed: `live.js` from the
modules in `live/`, `weights-NAME.js` from the library's checkpoints, as halves (16 bits a number)
where these suffice.

Plain scripts, because pages that are opened from disk can load neither modules nor data.
"""

from __future__ import annotations

import base64
import json
import re
import struct
import sys
from pathlib import Path

SITE = Path(__file__).resolve().parent
CHECKPOINTS = SITE.parent / "lib" / "tssbook" / "shipped" / "checkpoints"

# Each after those that it imports from; the last one starts the figures.
MODULES = (
    "core", "convolve", "simplenet", "procapnet", "promoternet", "formula",
    "touch-bench", "touch-view", "touch",
    "playground-model", "playground-state", "playground-tracks", "playground-view",
    "playground-editor", "playground-words", "playground-filters", "playground-export",
    "playground-game", "playground",
    "start",
)  # fmt: skip
NETWORKS = ("simplenet", "simplenet-yeast", "procapnet", "procapnet-yeast-17", "promoter")
# With halves its predictions miss by 0.8 per mille of their range, and 1 is allowed.
IN_FULL = ("promoter",)

IMPORT = re.compile(r"^import [^;]+;\n", flags=re.MULTILINE)
EXPORT = re.compile(r"^export (?=(?:async )?(?:function|class|const|let))", flags=re.MULTILINE)


def bundle(folder: Path) -> str:
    """Return the modules of `folder` as one script, in the order of `MODULES`.

    They share one scope there, so a name that is not exported must be of one module only, too.
    """
    parts = [(folder / f"{name}.js").read_text(encoding="utf-8") for name in MODULES]
    code = "\n".join(EXPORT.sub("", IMPORT.sub("", part)).strip() + "\n" for part in parts)
    return f'(() => {{\n"use strict";\n\n{code}\nstart();\n}})();\n'


def weights(name: str) -> str:
    """Return the script that hands over a checkpoint's configuration and tensors.

    Raises
    ------
    ValueError
        A tensor is not of float32, or a number is too large for a half.
    """
    data = (CHECKPOINTS / f"{name}.safetensors").read_bytes()
    size = int.from_bytes(data[:8], "little")
    header, body = json.loads(data[8 : 8 + size]), data[8 + size :]
    card = json.loads((CHECKPOINTS / f"{name}.json").read_text(encoding="utf-8"))
    tensors, parts = [], []
    bits, sign = (32, "f") if name in IN_FULL else (16, "e")
    for tensor, entry in header.items():
        if tensor == "__metadata__" or tensor.endswith("num_batches_tracked"):
            continue
        if entry["dtype"] != "F32":
            raise ValueError(f"{name}: {tensor} is {entry['dtype']}; wanted F32.")
        start, end = entry["data_offsets"]
        numbers = struct.unpack(f"<{(end - start) // 4}f", body[start:end])
        try:
            parts.append(struct.pack(f"<{len(numbers)}{sign}", *numbers))
        except OverflowError:
            raise ValueError(f"{name}: {tensor} has a number too large for 16 bits.") from None
        tensors.append([tensor, entry["shape"]])
    description = {"config": card["config"], "bits": bits, "tensors": tensors}
    packed = base64.b64encode(b"".join(parts)).decode("ascii")
    said = json.dumps(description, separators=(",", ":"))
    return f"tssWeights({json.dumps(name)}, {said}, {json.dumps(packed)});\n"


def write(folder: Path) -> None:
    """Write the bundle and the weights into `folder`."""
    (folder / "live.js").write_text(bundle(SITE / "live"), encoding="utf-8")
    for name in NETWORKS:
        (folder / f"weights-{name}.js").write_text(weights(name), encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else SITE)
