# SPDX-License-Identifier: Apache-2.0
"""Writes inputs and references for the models stream and lookahead, each for
the length of the model itself and for others, into a folder."""

import os
import sys

import numpy as np

folder = sys.argv[1]
os.makedirs(folder, exist_ok=True)


def save(name, **arrays):
    np.savez(os.path.join(folder, name), **arrays)


def stream(x, init, gain):
    """See stream.c."""
    length = x.shape[1]
    past = np.concatenate([np.zeros((2, 2, 3)), x], axis=1)
    y = gain * (x + 2 * past[:, 1 : length + 1] + 3 * past[:, :length])
    y = y + np.cumsum(x, axis=1) + init[:, None]
    mean = y.mean(axis=1) if length else np.zeros((2, 3))
    return {"y": y.astype(np.float32), "mean": mean.astype(np.float32)}


def lookahead(x):
    """See lookahead.c."""
    length = x.shape[1]
    padded = np.pad(x, ((0, 0), (2, 4)))
    half = (length + 1) // 2
    y = np.zeros((2, half), np.float32)
    for j in range(half):
        y[:, j] = padded[:, 2 * j : 2 * j + 5] @ np.arange(1, 6)
    z = padded[:, 4 : 4 + length] - x
    u = np.stack([x, -x], axis=2).reshape(2, 2 * length)
    return {"y": y, "z": z, "u": u, "total": y.sum(axis=1), "length": np.array(length)}


random = np.random.default_rng(1)


def integers(*shape):
    return random.integers(-4, 5, shape).astype(np.float32)


for length in [0, 1, 2, 7, 10, 13, 50]:
    x, init, gain = integers(2, length, 3), integers(2, 3), integers(3)
    save(f"stream{length}.npz", x=x, init=init, gain=gain, **stream(x, init, gain))
    save(f"zero{length}.npz", x=x, gain=gain, **stream(x, np.zeros((2, 3)), gain))
    x = integers(2, length)
    save(f"lookahead{length}.npz", x=x, **lookahead(x))

x, init, gain = integers(2, 9, 3), integers(2, 3), integers(3)
save("batch.npz", x=integers(3, 9, 3), init=init, gain=gain)
save("rank.npz", x=integers(2, 9), init=init, gain=gain)
save("nogain.npz", x=x, init=init)
save("init.npz", x=x, init=integers(3, 2), gain=gain)
save("off.npz", y=stream(x, init, gain)["y"])
save("x.npz", x=x, init=init, gain=gain)
