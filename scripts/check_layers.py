#!/usr/bin/env python3
"""Checks that includes point one way: tools > Pipelines > Import, Transforms,
Conversion, CodeGen > Dialect > Support, that those four never include one
another, and that Protobuf and Halide stay where they belong."""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
# What a layer may include besides itself.
BELOW = {
    "Support": set(),
    "Run": {"Support"},
    "Dialect": {"Support"},
    "Import": {"Dialect", "Support"},
    "Transforms": {"Dialect", "Support"},
    "Conversion": {"Dialect", "Support"},
    "CodeGen": {"Dialect", "Support"},
    "Report": {"Support"},
    "Pipelines": {"Run", "Report", "Support", "Dialect", "Import", "Transforms", "Conversion", "CodeGen"},
}
ONLY_IN = [
    (re.compile(r'#include [<"](google/protobuf|onnx)'), "lib/Import/ONNX"),
    (re.compile(r'#include [<"]Halide\.h'), "lib/CodeGen/Halide"),
]


def problems():
    for top in ("lib", "include/itera"):
        for path in sorted((ROOT / top).rglob("*")):
            if path.suffix not in (".h", ".cpp", ".td"):
                continue
            name = path.relative_to(ROOT)
            parts = path.relative_to(ROOT / top).parts
            for number, line in enumerate(path.read_text().splitlines(), 1):
                match = re.match(r'#?include "itera/(\w+)/', line)
                if match and len(parts) > 1:
                    layer, used = parts[0], match[1]
                    if used != layer and used not in BELOW[layer]:
                        yield f"{name}:{number}: {layer} must not include {used}"
                for pattern, home in ONLY_IN:
                    if pattern.match(line) and not str(name).startswith(home):
                        yield f"{name}:{number}: only {home} includes this"


found = list(problems())
print("\n".join(found) or "includes point one way")
sys.exit(bool(found))
