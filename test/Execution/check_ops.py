"""Compiles one ssm op at a time by the plain lowering, runs it, and compares
with naive loops in double precision.

Usage: check_ops.py ITERA_COMPILE ITERA_RUN [--opt-level=N] [NAME...]

Tolerance: every result is a sum of at most n products of numbers of order one,
so its error in float32 is below (n + 8) * 2^-24 * (sum of magnitudes); the
cases pass that bound as `atol`. The polynomials of exp, log1p and erf add
2e-6 relative.
"""

import os
import subprocess
import sys
import tempfile

import numpy as np

rng = np.random.default_rng(7)
CASES = {}


def case(function):
    CASES[function.__name__] = function
    return function


def normal(*shape):
    return rng.standard_normal(shape).astype(np.float32)


def tensor_type(array):
    name = {"float32": "f32", "int64": "i64", "bool": "i1"}[str(array.dtype)]
    return "tensor<" + "".join(f"{d}x" for d in array.shape) + name + ">"


def sigmoid(x):
    return 1 / (1 + np.exp(-np.asarray(x, np.float64)))


@case
def linear():
    for rows, n, k in [((), 1, 1), ((1,), 3, 5), ((2, 7), 17, 9), ((3,), 64, 33)]:
        x, w, b = normal(*rows, k), normal(n, k), normal(n)
        y = np.einsum("...k,nk->...n", x.astype(np.float64), w) + b
        yield ("%y = ssm.linear %x, %w bias(%b : {b}) : {x}, {w} -> {y}",
               dict(x=x, w=w, b=b), dict(y=y), (k + 8) * 2**-24 * 3 * k)


@case
def linear_packed():
    n, k, r = 5, 3, 4
    x, w = normal(2, k), normal(n, k)
    packed = np.zeros((2, k, r), np.float32)
    for i in range(n):
        packed[i // r, :, i % r] = w[i]
    y = x.astype(np.float64) @ w.T.astype(np.float64)
    yield ("%y = ssm.linear %x, %w : {x}, {w} -> {y}", dict(x=x, w=packed),
           dict(y=y), 1e-5)


@case
def hadamard():
    for shape, block in [((6,), 2), ((3, 1, 24), 8), ((2, 5, 48), 16), ((3, 256), 256), ((2, 7), 1)]:
        x = normal(*shape)
        signs = [[(-1.0) ** bin(i & j).count("1") for j in range(block)] for i in range(block)]
        blocks = x.astype(np.float64).reshape(*shape[:-1], -1, block)
        y = (blocks @ np.array(signs) / block**0.5).reshape(shape)
        yield (f"%y = ssm.hadamard %x block {block} : {{x}}", dict(x=x), dict(y=y),
               (np.log2(block) + 2) * 2**-24 * 3 * block**0.5)


@case
def norm():
    for shape in [(1,), (2, 3), (2, 4, 33)]:
        x, s, b = normal(*shape), normal(shape[-1]), normal(shape[-1])
        d = x.astype(np.float64)
        rms = d / np.sqrt((d**2).mean(-1, keepdims=True) + 1e-3) * s
        c = d - d.mean(-1, keepdims=True)
        layer = c / np.sqrt((c**2).mean(-1, keepdims=True) + 1e-3) * s + b
        yield ("%y = ssm.norm rms %x scale(%s : {s}) epsilon 1.0e-3 : {x}",
               dict(x=x, s=s), dict(y=rms), 5e-6)
        yield ("%y = ssm.norm layer %x scale(%s : {s}) bias(%b : {b}) epsilon 1.0e-3 : {x}",
               dict(x=x, s=s, b=b), dict(y=layer), 2e-5)


@case
def activations():
    from math import erf
    x = np.concatenate([normal(5, 40) * 4, [[-200, -90, -20, -1, 0, 1, 20, 90, 200] + [0.5] * 31]]).astype(np.float32)
    d = x.astype(np.float64)
    cubic = np.sqrt(2 / np.pi) * (d + 0.044715 * d**3)
    with np.errstate(over="ignore"):
        forms = {
            "sigmoid": sigmoid(d),
            "silu": d * sigmoid(d),
            "softplus": np.logaddexp(0, d),
            "gelu": d / 2 * (1 + np.vectorize(erf)(d / np.sqrt(2))),
            "gelu tanh": d / 2 * (1 + np.tanh(cubic)),
        }
    for name, y in forms.items():
        yield (f"%y = ssm.{name} %x : {{x}}", dict(x=x), dict(y=y), 2e-6, 2e-6)


@case
def softmax():
    x = normal(3, 17) * 10
    d = np.exp(x.astype(np.float64) - x.max(-1, keepdims=True))
    yield ("%e = tensor.empty() : {x}\n"
           "%y = linalg.softmax dimension(1) ins(%x : {x}) outs(%e : {x}) -> {x}",
           dict(x=x), dict(y=d / d.sum(-1, keepdims=True)), 2e-6)


@case
def embedding():
    table = normal(7, 5)
    ids = np.array([[0, 6, -1], [-7, 3, 2]], np.int64)
    wild = np.array([[100, -100, 7], [-8, 2**40, 0]], np.int64)
    yield ("%y = ssm.embedding %i, %t : {i}, {t} -> {y}", dict(i=ids, t=table),
           dict(y=table[ids]), 0)
    yield ("%y = ssm.embedding %i, %t : {i}, {t} -> {y}", dict(i=wild, t=table),
           dict(y=table[np.clip(np.where(wild < 0, wild + 7, wild), 0, 6)]), 0)


@case
def linear_recurrence():
    for reverse in ["", "reverse"]:
        for length in [1, 2, 9]:
            a, u, h0 = normal(2, length, 3) / 2, normal(2, length, 3), normal(2, 3)
            states, h = np.zeros(a.shape), h0.astype(np.float64)
            order = range(length)[::-1] if reverse else range(length)
            for t in order:
                h = a[:, t] * h + u[:, t]
                states[:, t] = h
            yield (f"%y, %l = ssm.linear_recurrence %a, %u, %h dim 1 {reverse} : {{a}}, {{h}}",
                   dict(a=a, u=u, h=h0), dict(y=states, l=h), 1e-5)


@case
def selective_scan():
    # Groups of B and C, and whether the decay is per channel and state.
    for reverse, batch, length, d, n, groups, per_state in [
            ("", 1, 1, 1, 1, 0, True), ("", 2, 7, 5, 3, 0, True), ("reverse", 1, 6, 4, 16, 0, True),
            ("", 2, 7, 5, 3, 0, False), ("", 2, 5, 6, 4, 3, False), ("reverse", 1, 5, 6, 4, 2, True),
            ("", 1, 4, 3, 5, 1, False)]:
        x, dt = normal(batch, length, d), np.abs(normal(batch, length, d))
        A = -np.abs(normal(*((d, n) if per_state else (d,))))
        shape = (batch, length, groups, n) if groups else (batch, length, n)
        B, C = normal(*shape), normal(*shape)
        h0, D, z = normal(batch, d, n), normal(d), normal(batch, length, d)
        y, h = np.zeros(x.shape), h0.astype(np.float64)
        order = range(length)[::-1] if reverse else range(length)
        for t in order:
            for b in range(batch):
                for c in range(d):
                    step = np.float64(dt[b, t, c])
                    at = (b, t, c * groups // d) if groups else (b, t)
                    h[b, c] = np.exp(step * A[c]) * h[b, c] + step * B[at] * x[b, t, c]
                    gate = z[b, t, c] * sigmoid(z[b, t, c])
                    y[b, t, c] = (C[at] @ h[b, c] + D[c] * x[b, t, c]) * gate
        yield ("%y, %l = ssm.selective_scan x(%x) dt(%dt) A(%A) B(%B) C(%C) init(%h) "
               f"D(%D : {{D}}) z(%z : {{z}}) {reverse} : {{x}}, {{A}}, {{B}}, {{h}}",
               dict(x=x, dt=dt, A=A, B=B, C=C, h=h0, D=D, z=z), dict(y=y, l=h), 5e-5)


@case
def causal_conv1d():
    for taps in [1, 2, 4]:
        x, w, b, past = normal(2, 6, 5), normal(5, taps), normal(5), normal(2, taps - 1, 5)
        for use_past in [False, True] if taps > 1 else [False]:
            history = past if use_past else np.zeros(past.shape)
            full = np.concatenate([history, x], 1).astype(np.float64)
            y = np.zeros(x.shape)
            for t in range(6):
                for k in range(taps):
                    y[:, t] += w[:, k] * full[:, t + k]
            y += b
            inputs = dict(x=x, w=w, b=b)
            text = "%y = ssm.causal_conv1d %x, %w bias(%b : {b}) silu : {x}, {w}"
            if use_past:
                inputs["p"] = past
                text = text.replace(" silu", " past(%p : {p}) silu")
            yield text, inputs, dict(y=y * sigmoid(y)), 1e-5


@case
def conv():
    x, w, b = normal(2, 4, 9), normal(6, 2, 3), normal(6)
    full = np.pad(x.astype(np.float64), ((0, 0), (0, 0), (2, 1)))
    y = np.zeros((2, 6, 4))
    for m in range(6):
        for t in range(4):
            for c in range(2):
                for k in range(3):
                    y[:, m, t] += w[m, c, k] * full[:, m // 3 * 2 + c, 2 * t + 2 * k]
        y[:, m] += b[m]
    yield ("%y = ssm.conv %x, %w bias(%b : {b}) {{dilations = array<i64: 2>, groups = 2 : i64, "
           "pads_high = array<i64: 1>, pads_low = array<i64: 2>, strides = array<i64: 2>}} : {x}, {w} -> {y}",
           dict(x=x, w=w, b=b), dict(y=y), 1e-5)


@case
def long_conv():
    x, k = normal(2, 3, 9), normal(3, 9)
    y = np.zeros(x.shape)
    for d in range(3):
        for b in range(2):
            y[b, d] = np.convolve(x[b, d].astype(np.float64), k[d])[:9]
    yield "%y = ssm.long_conv %x, %k : {x}, {k}", dict(x=x, k=k), dict(y=y), 1e-5
    # A kernel that is shorter than the sequence.
    k = normal(3, 4)
    for d in range(3):
        for b in range(2):
            y[b, d] = np.convolve(x[b, d].astype(np.float64), k[d])[:9]
    yield "%y = ssm.long_conv %x, %k : {x}, {k}", dict(x=x, k=k), dict(y=y), 1e-5


@case
def moe():
    tokens, slots, experts, d, h = 5, 2, 3, 4, 6
    x, g = normal(tokens, d), normal(tokens, slots)
    sel = rng.integers(0, experts - 1, (tokens, slots))  # the last expert gets no token
    up, down, ub, db = normal(experts, h, d), normal(experts, d, h), normal(experts, h), normal(experts, d)
    y = np.zeros(x.shape)
    for t in range(tokens):
        for j in range(slots):
            e = sel[t, j]
            hidden = np.maximum(up[e].astype(np.float64) @ x[t] + ub[e], 0)
            y[t] += g[t, j] * (down[e].astype(np.float64) @ hidden + db[e])
    yield ("%y = ssm.moe %x, %s, %g, %u, %d up_bias(%ub : {ub}) down_bias(%db : {db}) relu "
           ": {x}, {s}, {g}, {u}, {d}",
           dict(x=x, s=sel, g=g, u=up, d=down, ub=ub, db=db), dict(y=y), 5e-5)


@case
def movement():
    x = normal(3, 5)
    yield "%y = ssm.reverse %x dims [1] : {x}", dict(x=x), dict(y=x[:, ::-1]), 0
    c = np.cumsum(x.astype(np.float64), 1)
    yield "%y = ssm.cumsum %x dim 1 : {x}", dict(x=x), dict(y=c), 1e-5
    yield "%y = ssm.cumsum %x dim 1 exclusive : {x}", dict(x=x), dict(y=c - x), 1e-5
    r = np.cumsum(x[:, ::-1].astype(np.float64), 1)[:, ::-1]
    yield "%y = ssm.cumsum %x dim 1 reverse : {x}", dict(x=x), dict(y=r), 1e-5
    i = np.array([[4, -1], [0, 2]], np.int64)
    yield "%y = ssm.gather %x, %i dim 1 : {x}, {i} -> {y}", dict(x=x, i=i), dict(y=x[:, i]), 0
    j = np.array([[1, 0], [4, -5], [2, 2]], np.int64)
    yield ("%y = ssm.gather_elements %x, %i dim 1 : {x}, {i} -> {y}", dict(x=x, i=j),
           dict(y=np.take_along_axis(x, j, 1)), 0)
    k = np.array([[2, 1], [0, -1]], np.int64)
    yield "%y = ssm.gather_nd %x, %i : {x}, {i} -> {y}", dict(x=x, i=k), dict(y=x[k[:, 0], k[:, 1]]), 0


@case
def scatter():
    x, u = normal(4, 3), normal(3, 3)
    i = np.array([[2], [2], [-1]], np.int64)
    y = x.astype(np.float64)
    for row, update in zip(i[:, 0], u):
        y[row] += update
    yield "%y = ssm.scatter_nd %x, %i, %u add : {x}, {i}, {u}", dict(x=x, i=i, u=u), dict(y=y), 1e-6
    z = x.copy()
    z[2] = u[1]
    yield ("%y = ssm.scatter_nd %x, %i, %u valid(%n : {n}) replace : {x}, {i}, {u}",
           dict(x=x, i=i, u=u, n=np.array(2, np.int64)), dict(y=z), 0)
    outside = np.array([[9], [-9], [0]], np.int64)
    w = x.copy()
    w[0] = u[2]
    yield "%y = ssm.scatter_nd %x, %i, %u replace : {x}, {i}, {u}", dict(x=x, i=outside, u=u), dict(y=w), 0
    e = np.array([[0, 3, 1]], np.int64)
    v = normal(1, 3)
    s = x.copy()
    for col in range(3):
        s[e[0, col], col] = v[0, col]
    yield "%y = ssm.scatter_elements %x, %i, %u dim 0 replace : {x}, {i}, {u}", dict(x=x, i=e, u=v), dict(y=s), 0


@case
def selection():
    x = normal(3, 7)
    x[1] = [1, 2, 2, 0, 2, 1, -1]  # ties: the lower index first
    order = np.argsort(-x, axis=1, kind="stable")[:, :4]
    yield ("%v, %y = ssm.top_k %x dim 1 : {x} -> {v}, {y}", dict(x=x),
           dict(v=np.take_along_axis(x, order, 1), y=order), 0)
    order = np.argsort(x, axis=0, kind="stable")[:2]
    yield ("%v, %y = ssm.top_k smallest %x dim 0 : {x} -> {v}, {y}", dict(x=x),
           dict(v=np.take_along_axis(x, order, 0), y=order), 0)
    m = np.array([[1, 0, 0], [0, 0, 1]], np.int64)
    i = np.zeros((2, 6), np.int64)
    i[:, :2] = np.array(np.nonzero(m))
    yield "%y, %c = ssm.nonzero %x : {x} -> {y}, {c}", dict(x=m), dict(y=i, c=np.array(2)), 0
    zero = np.zeros((2, 3), np.int64)
    yield ("%y, %c = ssm.nonzero %x : {x} -> {y}, {c}", dict(x=zero),
           dict(y=np.zeros((2, 6), np.int64), c=np.array(0)), 0)


@case
def scan():
    a, u, h0 = normal(3, 6) / 2, normal(6, 3), normal(3)
    for reverse in ["", "reverse"]:
        h, y = h0.astype(np.float64), np.zeros((3, 6))
        for t in range(6)[::-1] if reverse else range(6):
            h = a[:, t] * h + u[t]
            y[:, t] = h
        yield ("%l, %y = ssm.scan init(%h : {h}) sequences(%a, %u : {a}, {u}) length 6 " + reverse + """ {{
^bb0(%s: {h}, %at: {h}, %ut: {h}):
  %m = arith.mulf %at, %s : {h}
  %n = arith.addf %m, %ut : {h}
  ssm.yield %n, %n : {h}, {h}
}} {{sequence_dims = array<i64: 1, 0>, stack_dims = array<i64: 1>}} -> {l}, {y}""",
               dict(a=a, u=u, h=h0), dict(l=h, y=y), 1e-5)


@case
def scan_old_states():
    """States that swap, and a step that gives out the state before it."""
    u, a0, b0 = normal(5, 3), normal(3), normal(3)
    a, b, y = a0.astype(np.float64), b0.astype(np.float64), np.zeros((5, 3))
    for t in range(5):
        y[t] = a
        a, b = b, a + u[t]
    yield ("""%la, %lb, %y = ssm.scan init(%a, %b : {a}, {b}) sequences(%u : {u}) length 5 {{
^bb0(%s: {a}, %r: {b}, %ut: {a}):
  %n = arith.addf %s, %ut : {a}
  ssm.yield %r, %n, %s : {a}, {a}, {a}
}} {{sequence_dims = array<i64: 0>, stack_dims = array<i64: 0>}} -> {la}, {lb}, {y}""",
           dict(u=u, a=a0, b=b0), dict(la=a, lb=b, y=y), 1e-5)


@case
def scan_in_scan():
    """A running sum of each row, where the rows are steps too."""
    x, h = normal(3, 4), normal(1)[0:1].reshape(())
    y = h + np.cumsum(x.astype(np.float64), axis=1)
    yield ("""%y = ssm.scan sequences(%x : {x}) length 3 {{
^bb0(%row: tensor<4xf32>):
  %l, %sums = ssm.scan init(%h : {h}) sequences(%row : tensor<4xf32>) length 4 {{
  ^bb0(%s: {h}, %e: {h}):
    %n = arith.addf %s, %e : {h}
    ssm.yield %n, %n : {h}, {h}
  }} {{sequence_dims = array<i64: 0>, stack_dims = array<i64: 0>}} -> {h}, tensor<4xf32>
  ssm.yield %sums : tensor<4xf32>
}} {{sequence_dims = array<i64: 0>, stack_dims = array<i64: 0>}} -> {y}""",
           dict(x=x, h=h), dict(y=y), 1e-5)


@case
def length_one():
    """Loops of one step, behind a transpose."""
    x = normal(1, 5, 1, 4)
    yield ("%e = tensor.empty() : {y}\n"
           "%t = linalg.transpose ins(%x : {x}) outs(%e : {y}) permutation = [0, 3, 1, 2]\n"
           "%y = ssm.cumsum %t dim 3 : {y}", dict(x=x), dict(y=x.transpose(0, 3, 1, 2)), 0)


def as_stored(array):
    array = np.ascontiguousarray(array).reshape(np.shape(array))
    return array.astype(np.float32) if array.dtype == np.float64 else array


def run(name, index, text, inputs, outputs, atol, rtol, compile_command, run_command, folder):
    types = {k: tensor_type(as_stored(v)) for k, v in {**inputs, **outputs}.items()}
    arguments = ", ".join(f'%{k}: {types[k]} {{ssm.name = "{k}"}}' for k in inputs)
    results = ", ".join(f'{types[k]} {{ssm.name = "{k}"}}' for k in outputs)
    module = (f'module attributes {{ssm.model_name = "{name}"}} {{\n'
              f"func.func @forward({arguments}) -> ({results}) {{\n{text.format(**types)}\n"
              f"return {', '.join('%' + k for k in outputs)} : {', '.join(types[k] for k in outputs)}\n}}\n}}\n")
    stem = os.path.join(folder, f"{name}{index}")
    with open(stem + ".mlir", "w") as file:
        file.write(module)
    np.savez(stem + ".npz", **inputs,
             **{k + "@f64": np.ascontiguousarray(v).reshape(np.shape(v)) for k, v in outputs.items()})
    subprocess.run(compile_command + [stem + ".mlir", "-o", stem + ".so"], check=True)
    subprocess.run(run_command + [stem + ".so", "--input", stem + ".npz", "--compare", stem + ".npz",
                                  f"--atol={atol}", f"--rtol={rtol}"], check=True, stdout=subprocess.DEVNULL)


def main():
    compiler, runner, *rest = sys.argv[1:]
    flags = [a for a in rest if a.startswith("--")]
    names = [a for a in rest if not a.startswith("--")] or list(CASES)
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            count = 0
            for text, inputs, outputs, atol, *more in CASES[name]():
                rtol = more[0] if more else 0
                run(name, count, text, inputs, outputs, atol, rtol, [compiler, *flags], [runner], folder)
                count += 1
            print(f"{name}: {count} passed")


main()
