# SPDX-License-Identifier: Apache-2.0
"""Writes the arrays for the tests of itera-run into a folder."""

import os
import sys

import numpy as np

folder = sys.argv[1]
os.makedirs(folder, exist_ok=True)


def save(name, **arrays):
    np.savez_compressed(os.path.join(folder, name), **arrays)


x = np.arange(6, dtype=np.float32).reshape(2, 3)
w = np.arange(1, 7, dtype=np.float32).reshape(2, 3)
n = np.array(10)
y = x * w + 10
# n is int64 in the model: int32 converts, without loss.
save("in.npz", x=x, n=n.astype(np.int32), **{"x@case1": x + 1, "n@case1": n + 1})
# y itself is wrong on purpose: the reference in double counts.
save(
    "ref.npz",
    y=y + 100,
    total=np.array(6),
    none=np.zeros((2, 0), np.float32),
    unknown=x,
    **{"y@f64": y.astype(np.float64), "y@case1": (x + 1) * w + 11},
)
off = y.copy()
off[1, 0] -= 0.25  # 22 instead of 21.75
save("off.npz", y=off)
nan = y.copy()
nan[0, 0] = np.nan
save("nan.npz", y=nan)

save("noinput.npz", n=n)
save("type.npz", x=x.astype(np.float64), n=n)
save("shape.npz", x=x.reshape(3, 2), n=n, y=y.reshape(3, 2))
save("fortran.npz", x=np.asfortranarray(x), n=n)
with open(os.path.join(folder, "nonzip.npz"), "w") as file:
    file.write("no archive")
