"""Prunes channels that do nothing. Blocks of random weights have channels that
are zero for every reader; without these the block must compute the same, whole
and as a stream, in smaller shapes.

Usage: check_pruning.py ITERA_COMPILE ITERA_RUN
"""

import os
import re
import subprocess
import sys
import tempfile

import numpy as np

T, F, D, N, R, K = 12, 24, 64, 8, 4, 4
rng = np.random.default_rng(5)


def random(*shape):
    return (rng.standard_normal(shape) / np.sqrt(shape[-1])).astype(np.float32)


class Block:
    """The text of a function over the input u, one op a line."""

    def __init__(self):
        self.lines = []

    def add(self, text, type):
        name = f"%v{len(self.lines)}"
        self.lines.append(f"{name} = {text}")
        return name, type

    def op(self, name, x):
        return self.add(f"{name} {x[0]} : {x[1]}", x[1])

    def constant(self, array, element="f32"):
        shape = "x".join(map(str, array.shape))
        type = f"tensor<{shape}x{element}>"
        values = np.array2string(
            array, separator=",", threshold=sys.maxsize, floatmode="unique"
        ).replace("\n", "")
        return self.add(f'ssm.weight "w{len(self.lines)}" dense<{values}> : {type}', type)

    def linear(self, x, weight, bias=None):
        w = self.constant(weight)
        type = re.sub(r"\d+xf32", f"{len(weight)}xf32", x[1])
        b = self.constant(bias) if bias is not None else None
        tail = f" bias({b[0]} : {b[1]})" if b else ""
        return self.add(f"ssm.linear {x[0]}, {w[0]}{tail} : {x[1]}, {w[1]} -> {type}", type)

    def quantised(self, x, weight, element, group):
        """A linear layer whose weight is rounded to integers in groups."""
        rows, columns = weight.shape
        parts = weight.reshape(rows, columns // group, group)
        most = {"i4": 7, "i8": 127}[element]
        scales = np.maximum(np.abs(parts).max(2), 1e-3) / most
        w = self.constant(np.rint(parts / scales[..., None]).astype(int).reshape(weight.shape),
                          element)
        s = self.constant(scales)
        type = re.sub(r"\d+xf32", f"{rows}xf32", x[1])
        return self.add(
            f"ssm.linear {x[0]}, {w[0]} scales({s[0]} : {s[1]}) group {group}"
            f" : {x[1]}, {w[1]} -> {type}",
            type,
        )

    def slice(self, x, begin, size):
        type = re.sub(r"\d+xf32", f"{size}xf32", x[1])
        return self.add(
            f"tensor.extract_slice {x[0]}[0, 0, {begin}] [1, {T}, {size}] [1, 1, 1]"
            f" : {x[1]} to {type}",
            type,
        )

    def conv(self, x, taps, bias):
        w, b = self.constant(taps), self.constant(bias)
        return self.add(
            f"ssm.causal_conv1d {x[0]}, {w[0]} bias({b[0]} : {b[1]}) silu : {x[1]}, {w[1]}",
            x[1],
        )

    def scan(self, x, dt, A, B, C, skip, z=None, reverse=False):
        h, d = self.constant(np.zeros((1, D, N), np.float32)), self.constant(skip)
        gate = f" z({z[0]} : {z[1]})" if z else ""
        name, type = self.add(
            f"ssm.selective_scan x({x[0]}) dt({dt[0]}) A({A[0]}) B({B[0]}) C({C[0]})"
            f" init({h[0]}) D({d[0]} : {d[1]}){gate}{' reverse' if reverse else ''}"
            f" : {x[1]}, {A[1]}, {B[1]}, {h[1]}",
            x[1],
        )
        self.lines[-1] = self.lines[-1].replace(name + " =", name + ":2 =")
        return name + "#0", type

    def text(self, result):
        body = "\n  ".join(self.lines)
        return f"""module attributes {{ssm.model_name = "block", ssm.source_hash = "0"}} {{
func.func @forward(%u: tensor<1x{T}x{F}xf32> {{ssm.name = "u"}})
    -> ({result[1]} {{ssm.name = "y"}}) {{
  {body}
  return {result[0]} : {result[1]}
}}
}}
"""


U = ("%u", f"tensor<1x{T}x{F}xf32>")


def channel_decay(dead, directions=1, element=None):
    """Mamba-1: what reads the dead channels has zeros for them. With `element`
    its weights are integers in groups of 16."""
    b = Block()
    xz = b.linear(U, random(2 * D, F))
    x0, z = b.slice(xz, 0, D), b.slice(xz, D, D)
    ys = []
    for direction in range(directions):
        x = b.conv(x0, random(D, K), random(D))
        select = random(R + 2 * N, D)
        select[:, dead] = 0
        dbc = b.quantised(x, select, element, 16) if element else b.linear(x, select)
        dt = b.op("ssm.softplus", b.linear(b.slice(dbc, 0, R), random(D, R), random(D)))
        A = b.constant(-np.exp(random(D, N)))
        ys.append(
            b.scan(x, dt, A, b.slice(dbc, R, N), b.slice(dbc, R + N, N), random(D), z,
                   reverse=direction == 1)
        )
    y = ys[0]
    if directions == 2:
        y = b.add(f"arith.addf {ys[0][0]}, {ys[1][0]} : {y[1]}", y[1])
    out = random(F, D)
    out[:, dead] = 0
    return b.text(b.quantised(y, out, element, 16) if element else b.linear(y, out))


def head_decay(dead, heads, groups, state_gate):
    """Mamba-2: the dead channels are zero when the norm reads them, which still
    divides by the mean over all."""
    b = Block()
    width = D // heads
    inner = D + 2 * groups * N
    weight = random(D + inner + heads, F)
    weight[D + np.flatnonzero(dead)] = 0
    all_ = b.linear(U, weight)
    z, xbc, dt = b.slice(all_, 0, D), b.slice(all_, D, inner), b.slice(all_, D + inner, heads)
    bias = random(inner)
    bias[:D][dead] = 0
    xbc = b.conv(xbc, random(inner, K), bias)
    x = b.slice(xbc, 0, D)
    matrices = []
    for begin in (D, D + groups * N):
        m = b.slice(xbc, begin, groups * N)
        if groups > 1:
            type = f"tensor<1x{T}x{groups}x{N}xf32>"
            m = b.add(
                f"tensor.expand_shape {m[0]} [[0], [1], [2, 3]] output_shape"
                f" [1, {T}, {groups}, {N}] : {m[1]} into {type}",
                type,
            )
        matrices.append(m)
    dt = b.op("ssm.softplus", dt)
    wide = f"tensor<1x{T}x{heads}x{width}xf32>"
    empty = b.add(f"tensor.empty() : {wide}", wide)
    dt = b.add(
        f"linalg.broadcast ins({dt[0]} : {dt[1]}) outs({empty[0]} : {wide}) dimensions = [3]",
        wide,
    )
    flat = f"tensor<1x{T}x{D}xf32>"
    dt = b.add(f"tensor.collapse_shape {dt[0]} [[0], [1], [2, 3]] : {wide} into {flat}", flat)
    A = b.constant(np.repeat(-np.exp(random(heads)), width))
    y = b.scan(x, dt, A, *matrices, random(D), z if state_gate else None)
    if not state_gate:
        z = b.op("ssm.silu", z)
        y = b.add(f"arith.mulf {y[0]}, {z[0]} : {flat}", flat)
    scale = b.constant(1 + random(D))
    y = b.add(
        f"ssm.norm rms {y[0]} scale({scale[0]} : {scale[1]}) epsilon 1.0e-2 : {flat}", flat
    )
    return b.text(b.linear(y, random(F, D)))


def spread(count, block=1):
    """Which channels are dead: `count` blocks of D / block, spread at random."""
    chosen = rng.permutation(D // block)[:count]
    return np.isin(np.arange(D) // block, chosen)


CASES = {
    "channels": (channel_decay(spread(16)), 0.25, 48, True),
    "directions": (channel_decay(spread(16), directions=2), 0.25, 48, False),
    "int8": (channel_decay(spread(1, 16), element="i8"), 0.25, 48, True),
    "int4": (channel_decay(spread(1, 16), element="i4"), 0.25, 48, True),
    "heads": (head_decay(spread(2, 8), 8, 1, True), 0.25, 48, True),
    "heads-gated-outside": (head_decay(spread(4, 4), 16, 1, False), 0.25, 48, True),
    "groups": (head_decay(spread(1, 32), 8, 2, True), 0.5, 32, True),
}


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        print(done.stdout[-2000:], done.stderr[-2000:], sep="\n", file=sys.stderr)
        sys.exit(f"failed: {' '.join(command)}")
    return done.stdout + done.stderr


def main():
    compile_, run_ = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        path = lambda name: os.path.join(folder, name)
        u = rng.standard_normal((1, T, F)).astype(np.float32)
        np.savez(path("u.npz"), u=u)
        for name, (text, ratio, left, streams) in CASES.items():
            with open(path("m.mlir"), "w") as file:
                file.write(text)
            flags = ["--cache-dir=", "--time-dim=u=1"]
            run(compile_, path("m.mlir"), "-o", path("full.so"), *flags)
            run(run_, path("full.so"), "--input", path("u.npz"), "--output", path("y.npz"))
            flags.append(f"--prune={ratio}")
            ir = run(compile_, path("m.mlir"), "--stop-after=quantize", "-o", "-", *flags)
            scans = re.findall(rf"ssm.selective_scan.* : tensor<1x{T}x(\d+)xf32>, tensor", ir)
            assert scans and set(scans) == {str(left)}, (name, scans)
            run(compile_, path("m.mlir"), "-o", path("m.so"), "--verify", *flags)
            for mode in ["forward"] + ["stream"] * streams:
                out = run(run_, path("m.so"), f"--mode={mode}", "--input", path("u.npz"),
                          "--compare", path("y.npz"), "--atol=2e-6", "--rtol=1e-5")
                print(name, mode, out.strip().splitlines()[-1])
            plain = run(compile_, path("m.mlir"), "-o", path("plain.so"), "--opt-level=0", *flags)
            run(run_, path("plain.so"), "--input", path("u.npz"),
                "--compare", path("y.npz"), "--atol=2e-6", "--rtol=1e-5")
    print("Success!")


if __name__ == "__main__":
    main()
