"""Checks what --budget chooses: that the bytes are kept, that what matters more
gets more bits, and that the choice does not depend on names, on the kind of the
sample data or on whether it was kept in the cache.

Usage: check_budget.py ITERA_COMPILE MODEL.onnx FOLDER
"""

import os
import re
import subprocess
import sys

import numpy as np

compiler, trained, folder = sys.argv[1:]
os.makedirs(folder, exist_ok=True)
cache = os.path.join(folder, "cache")
rng = np.random.default_rng(3)
failures = []


def check(holds, text):
    if not holds:
        failures.append(text)


def compile_model(model, *flags, fails=False):
    """(stdout, stderr) of a compilation to four bits."""
    run = subprocess.run([compiler, model, "--bits=4", "--cache-dir=" + cache, *flags],
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if run.returncode != (1 if fails else 0):
        sys.exit(f"exit {run.returncode}: {flags}\n{run.stderr}")
    return run.stdout, run.stderr


def plan(model, *flags):
    """The storage of each weight, the lines of the table, the bytes of all."""
    out, err = compile_model(model, "--explain-precision", "--stop-after=plan", "-o", "-", *flags)
    rows = [line.split() for line in err.splitlines()]
    rows = [row for row in rows if len(row) >= 4 and row[2] in ("i4", "i8", "f16", "f32")]
    return ({row[0]: row[2] for row in rows}, rows,
            int(re.search(r"ssm.weight_bytes = (\d+)", out)[1]))


# Three products of the same size, of which one is scaled down and one up. Their
# names are patterns that match each other, if they are taken for patterns.
N, T = 64, 8
factors = {"w*": 0.01, "w?": 1.0, "[w*]": 100.0}
lines = []
for i, (name, factor) in enumerate(factors.items()):
    values = rng.standard_normal((N, N)).astype(np.float32)
    text = np.array2string(values, separator=",", threshold=sys.maxsize, floatmode="unique").replace("\n", "")
    lines += [
        f'%w{i} = ssm.weight "{name}" dense<{text}> : tensor<{N}x{N}xf32>',
        f"%y{i} = ssm.linear %x, %w{i} : tensor<{T}x{N}xf32>, tensor<{N}x{N}xf32> -> tensor<{T}x{N}xf32>",
        f"%c{i} = arith.constant dense<{factor}> : tensor<{T}x{N}xf32>",
        f"%z{i} = arith.mulf %y{i}, %c{i} : tensor<{T}x{N}xf32>",
    ]
lines += [
    f"%a = arith.addf %z0, %z1 : tensor<{T}x{N}xf32>",
    f"%b = arith.addf %a, %z2 : tensor<{T}x{N}xf32>",
    f'%head = ssm.weight "head" dense<{np.eye(N).astype(np.float32).tolist()}> : tensor<{N}x{N}xf32>',
    f"%out = ssm.linear %b, %head : tensor<{T}x{N}xf32>, tensor<{N}x{N}xf32> -> tensor<{T}x{N}xf32>",
]
graph = os.path.join(folder, "sum.mlir")
with open(graph, "w") as file:
    file.write(f'func.func @forward(%x: tensor<{T}x{N}xf32> {{ssm.name = "x"}}) -> '
               f'(tensor<{T}x{N}xf32> {{ssm.name = "y"}}) {{\n' + "\n".join(lines)
               + f"\nreturn %out : tensor<{T}x{N}xf32>\n}}\n")
data = os.path.join(folder, "x.npz")
np.savez(data, x=rng.standard_normal((T, N)).astype(np.float32))

least = plan(graph)[2]
step = N * N // 2  # about what four bits more take
for flags in ([], ["--calibrate=" + data]):
    for room, wanted in ((100, "i4 i4 i4"), (step, "i4 i4 i8"), (2 * step, "i4 i8 i8")):
        found, _, size = plan(graph, f"--budget={least + room}", *flags)
        found = [found[name] for name in factors]
        # The most sensitive may also get sixteen bits before others get eight.
        ranks = ["i4 i8 f16".split().index(storage) for storage in found]
        check(size <= least + room, f"{size} bytes, of at most {least + room}")
        check(ranks == sorted(ranks), f"room {room}, {flags}: {found}")
        if room < 2 * step:
            check(" ".join(found) == wanted, f"room {room}, {flags}: {found}, not {wanted}")
_, err = compile_model(graph, f"--budget={least}", "-o", os.path.join(folder, "random.so"))
check("warning: --budget without --calibrate" in err, "random inputs without a warning")

# What the user says of a weight holds, and its bytes count.
found, _, size = plan(graph, f"--budget={least + step}", "--precision=w[*]=i8", "--calibrate=" + data)
check(found["w*"] == "i8" and size <= least + step, f"a precision of the user: {found}, {size} bytes")

# A trained model: between any two weights of one size, the one that gains more
# has no fewer bits.
text = os.path.join(folder, "text.txt")
with open(text, "w") as file:
    file.write("The cat sat on the mat, and the dog in the fog by the log. " * 20)
sizes = {}
for budget in ("420k", "0.25", "900k", "1G"):
    found, rows, size = plan(trained, "--budget=" + budget, "--calibrate=" + text)
    sizes[budget] = size
    by_class = {}
    for name, _, storage, size_now, four, eight in rows:
        if four != "-":
            gain = float(four) - float(eight)
            count = int(size_now) / {"i4": 0.5625, "i8": 1.0, "f16": 2.0}[storage]
            by_class.setdefault(round(np.log2(count)), []).append((gain, storage != "i4"))
    check(len(by_class) == 2, f"{budget}: expected projections of two sizes, but got {by_class}")
    for weights in by_class.values():
        promoted = [more for _, more in sorted(weights)]
        check(promoted == sorted(promoted), f"{budget}: {sorted(weights)}")
    if budget in ("420k", "0.25"):
        check({"i4", "i8"} <= set(found.values()), f"{budget}: {found}")
full = int(re.search(r"ssm.weight_bytes = (\d+)", subprocess.run(
    [compiler, trained, "--stop-after=plan", "-o", "-"], stdout=subprocess.PIPE, text=True, check=True).stdout)[1])
for budget, most in (("420k", 420000), ("0.25", full // 4), ("900k", 900000)):
    check(0.97 * most <= sizes[budget] <= most, f"{budget}: {sizes[budget]} bytes, at most {most}")
check(set(found.values()) == {"f16"}, f"room for all: {found}")

# Twice the same; the second time by what was kept.
kept = os.path.join(cache, "calibration")
before = sorted(os.listdir(kept))
again = plan(trained, "--budget=420k", "--calibrate=" + text)
check(again[2] == sizes["420k"] and sorted(os.listdir(kept)) == before, "the cache was not used")
for name in before:
    if name.endswith(".json"):
        with open(os.path.join(kept, name), "w") as file:
            file.write("[]")
check(plan(trained, "--budget=420k", "--calibrate=" + text)[1] == again[1], "a damaged cache changed the choice")

_, err = compile_model(trained, "--budget=0.1", "-o", os.path.join(folder, "small.so"), fails=True)
check(re.fullmatch(r".*: error: --budget: expected at least \d+ bytes .*, but got \d+\n", err), err)
check(not os.path.exists(os.path.join(folder, "small.so")), "an output in spite of an error")
sys.exit("\n".join(failures) or 0)
