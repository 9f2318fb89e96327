"""Compiles and runs ONNX models whose weights are quantised already, and
compares with the operators' definitions in numpy: the weights to the last bit
(the input is the identity matrix, so that a product is a weight), integer
results exactly, and that the weights are stored in the bits of the file.

Usage: check_quantized.py ITERA_COMPILE ITERA_RUN [--opt-level=N] [NAME...]
"""

import os
import re
import subprocess
import sys
import tempfile

import numpy as np
from onnx import TensorProto, helper, numpy_helper

F, H, I8, U8, I32, I64 = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.INT8, TensorProto.UINT8,
                          TensorProto.INT32, TensorProto.INT64)
I4, U4 = TensorProto.INT4, TensorProto.UINT4
MS = "com.microsoft"
rng = np.random.default_rng(5)
CASES = {}


def case(function):
    CASES[function.__name__] = function
    return function


def info(name, shape, dtype=F):
    return helper.make_tensor_value_info(name, dtype, shape)


def node(op, inputs, outputs, domain="", **attributes):
    return helper.make_node(op, inputs.split(",") if inputs else [], outputs.split(","), domain=domain,
                            name=outputs.split(",")[0] + "_node", **attributes)


def model(nodes, inputs, outputs, opset=21, **constants):
    """A constant is an array, or (array, type) for four bits."""
    weights = []
    for name, value in constants.items():
        if isinstance(value, tuple):
            array, kind = value
            weights.append(helper.make_tensor(name, kind, array.shape, array.flatten().tolist()))
        else:
            weights.append(numpy_helper.from_array(np.asarray(value), name))
    made = helper.make_model(helper.make_graph(nodes, "quantised", inputs, outputs, weights),
                             opset_imports=[helper.make_opsetid("", opset), helper.make_opsetid(MS, 1)])
    made.ir_version = 10
    return made


def scales_of(*shape):
    """Of either sign, a row of zeros among them."""
    values = rng.standard_normal(shape).astype(np.float32)
    values.flat[0] = 0
    return values


def integers(low, high, *shape):
    return rng.integers(low, high + 1, shape)


def pack(numbers, bits):
    """The numbers of each row in bytes, the first in the lowest bits; a new row begins a new byte."""
    per = 8 // bits
    rows = numbers.reshape(-1, numbers.shape[-1])
    padded = np.zeros((rows.shape[0], -(-rows.shape[1] // per) * per), np.uint8)
    padded[:, :rows.shape[1]] = rows
    parts = padded.reshape(rows.shape[0], -1, per)
    return sum(parts[..., i] << (bits * i) for i in range(per)).astype(np.uint8)


def spread(per_block, block, k):
    return np.repeat(per_block, block, axis=-1)[..., :k]


def dequantised(q, s, z=0):
    """(q - z) * s, rounded once."""
    return ((q - z).astype(np.float32) * s.astype(np.float32)).astype(np.float32)


def store(bits, n, k):
    """What the stored weight looks like."""
    return rf"tensor<{n}x{k}xi{bits}>"


@case
def matmul_nbits():
    for bits, block, n, k, zeros, order, half in [
            (4, 32, 70, 64, None, False, False), (4, 16, 5, 40, "packed", False, False),
            (4, 64, 48, 64, "packed", False, False), (8, 32, 9, 50, "packed", False, False), (8, 16, 33, 32, None, False, False),
            (2, 16, 40, 80, "packed", False, False), (4, 32, 17, 96, "whole", False, False),
            (4, 32, 17, 96, "parts", False, False), (4, 16, 20, 64, "packed", True, False),
            (4, 32, 12, 64, "packed", False, True), (4, 16, 3, 20, None, False, False)]:
        kb, top = -(-k // block), 2**bits - 1
        q, s = integers(0, top, n, kb * block), scales_of(n, kb)
        z = integers(0, top, n, kb).astype(np.float32)
        names = "x,w,s"
        constants = dict(w=pack(q, bits).reshape(n, kb, -1), s=s)
        if zeros == "packed":
            constants["z"] = pack(z.astype(np.int64), bits)
        elif zeros:
            z = z + (0.5 if zeros == "parts" else 0)
            constants["z"] = z.astype(np.float32)
        else:
            z[:] = 2 ** (bits - 1)
        names += ",z" if zeros else ","
        groups = np.arange(k) // block
        if order:
            groups = rng.permutation(groups)
            constants["g"] = groups.astype(np.int32)
        names += ",g" if order else ","
        bias = rng.standard_normal(n).astype(np.float32)
        constants["b"] = bias
        if half:
            constants.update(s=s.astype(np.float16), b=bias.astype(np.float16))
        made = model([node("MatMulNBits", names + ",b", "y", MS, N=n, K=k, bits=bits, block_size=block, accuracy_level=4)],
                     [info("x", [2, k, k], H if half else F)], [info("y", [2, k, n], H if half else F)], **constants)
        w = dequantised(q[:, :k], s[:, groups], z[:, groups])
        x = np.broadcast_to(np.eye(k, dtype=np.float32), (2, k, k)).copy()
        x[1] *= -2
        y = np.stack([w.T + bias, -2 * w.T + bias])
        if half:
            yield made, dict(x=x.astype(np.float16)), dict(y=y), 5e-2, rf"tensor<{n}x{k}xf16>"
            continue
        floats = order or zeros == "parts"
        yield made, dict(x=x), dict(y=y), 0, rf"tensor<{n}x{k}xf32>" if floats else store(8 if bits == 8 else 4, n, k)


@case
def matmul_nbits_of_activations():
    n, k, block = 24, 72, 32
    q, s = integers(0, 15, n, 96), scales_of(n, 3)
    made = model([node("MatMulNBits", "x,w,s", "y", MS, N=n, K=k, block_size=block),
                  node("MatMulNBits", "x,w,s", "z", MS, N=n, K=k, block_size=block)],
                 [info("x", [5, k])], [info("y", [5, n]), info("z", [5, n])], w=pack(q, 4).reshape(n, 3, 16), s=s.flatten())
    x = rng.standard_normal((5, k)).astype(np.float32)
    y = x.astype(np.float64) @ dequantised(q[:, :k], spread(s, block, k), 8).T.astype(np.float64)
    yield made, dict(x=x), dict(y=y, z=y), 1e-3, store(4, n, k)


@case
def gather_block_quantized():
    ids = np.array([[0, 6, 2], [-1, 3, 3]], np.int64)
    for kind, bits, block, k, zeros, half in [
            (U8, 4, 16, 40, True, False), (U8, 8, 32, 33, True, False), (U8, 4, 32, 32, False, False),
            (U8, 8, 16, 48, False, False), (U4, 4, 16, 32, True, False), (U4, 4, 16, 40, False, False),
            (I4, 4, 32, 64, True, False), (I4, 4, 32, 64, False, False), (U8, 2, 16, 32, True, False),
            (U8, 4, 16, 32, True, True)]:
        n, kb = 7, -(-k // block)
        low, high = (-8, 7) if kind == I4 else (0, 2**bits - 1)
        q, z, s = integers(low, high, n, k), integers(low, high, n, kb), scales_of(n, kb)
        if half:
            s = s.astype(np.float16)
        packed = kind == U8
        constants = dict(t=pack(q, bits) if packed else (q, kind), s=s)
        if zeros:
            constants["z"] = pack(z, bits) if packed else (z, kind)
        else:
            z[:] = 2 ** (bits - 1) if packed else 0
        made = model([node("GatherBlockQuantized", "t,i,s" + (",z" if zeros else ""), "y", MS, bits=bits, block_size=block,
                           gather_axis=0, quantize_axis=1)],
                     [info("i", [2, 3], I64)], [info("y", [2, 3, k], H if half else F)], **constants)
        table = dequantised(q, spread(s, block, k), spread(z, block, k))
        if half:
            table = table.astype(np.float16)
        yield made, dict(i=ids), dict(y=table[ids]), 0, store(8 if bits == 8 else 4, n, k)


@case
def tied_embedding():
    """One matrix for both ends of a model, reshaped for one of them."""
    n, k, block = 20, 32, 16
    q, s, z = integers(0, 15, n, k), scales_of(n, 2), integers(0, 15, n, 2)
    made = model([node("Reshape", "w,flat", "t"), node("GatherBlockQuantized", "t,i,s,z", "x", MS, bits=4, block_size=block),
                  node("MatMulNBits", "x,w,s,z", "y", MS, N=n, K=k, block_size=block)],
                 [info("i", [3], I64)], [info("x", [3, k]), info("y", [3, n])],
                 w=pack(q, 4).reshape(n, 2, 8), s=s, z=pack(z, 4), flat=np.array([n, k // 2]))
    ids = np.array([4, 0, 19], np.int64)
    w = dequantised(q, spread(s, block, k), spread(z, block, k))
    yield made, dict(i=ids), dict(x=w[ids], y=w[ids].astype(np.float64) @ w.T.astype(np.float64)), 1e-3, (store(4, n, k), 1)


def linear_cases():
    """(type, axis of the scales in [K, N] or None, block, with zero points)"""
    for kind, bits, low, high in [(I8, 8, -128, 127), (U8, 8, 0, 255), (I4, 4, -8, 7), (U4, 4, 0, 15)]:
        for axis, block in [(None, 0), (1, 0), (0, 16)]:
            for zeros in [False, True]:
                yield kind, bits, low, high, axis, block, zeros


@case
def dequantize_linear():
    for number, (kind, bits, low, high, axis, block, zeros) in enumerate(linear_cases()):
        k, n = (40 if block else 33), 18
        q = integers(low, high, k, n)
        q[0, :2] = low, high
        shape = [] if axis is None else [n] if not block else [-(-k // block), n]
        s, z = np.abs(scales_of(*shape)) if shape else np.float32(0.37), integers(low, high, *shape)
        four = lambda a: (np.asarray(a), kind) if bits == 4 else np.asarray(a).astype(np.int8 if kind == I8 else np.uint8)
        attributes = {} if axis is None else dict(axis=axis)
        if block:
            attributes["block_size"] = block
        wide = lambda a: np.repeat(a, block, axis=0)[:k] if block else a
        w = dequantised(q, wide(s), wide(z) if zeros else 0)
        names = "q,s,z" if zeros else "q,s"
        constants = dict(q=four(q), s=s, **(dict(z=four(z)) if zeros else {}))
        # The weight as MatMul wants it, as Gemm wants it, and turned around.
        form = number % 3
        if form == 0:
            nodes = [node("DequantizeLinear", names, "w", **attributes), node("MatMul", "x,w", "y")]
        else:
            # Stored [N, K]: the axis of the other dimension.
            turn = lambda a: (a[0].T, a[1]) if isinstance(a, tuple) else np.asarray(a).T
            constants = {name: turn(value) for name, value in constants.items()}
            if axis is not None:
                attributes["axis"] = 1 - axis
            nodes = [node("DequantizeLinear", names, "w", **attributes)]
            nodes += ([node("Gemm", "x,w,b", "y", transB=1)] if form == 1 else
                      [node("Transpose", "w", "t"), node("MatMul", "x,t", "p"), node("Add", "p,b", "y")])
            constants["b"] = np.arange(n, dtype=np.float32)
        y = w + (np.arange(n, dtype=np.float32) if form else 0)
        made = model(nodes, [info("x", [k, k])], [info("y", [k, n])], **constants)
        yield made, dict(x=np.eye(k, dtype=np.float32)), dict(y=y), 0, store(bits, n, k)


@case
def written_out():
    """The same as Cast, Sub and Mul, with the zero point before or after the cast, and reshapes between."""
    k, n, block = 32, 12, 8
    q, s, z = integers(0, 255, n, k // block, block).astype(np.uint8), np.abs(scales_of(n, 4, 1)), integers(0, 255, n, 4, 1)
    w = dequantised(q.astype(np.int64), s, z).reshape(n, k)
    x = np.eye(k, dtype=np.float32)
    ends = [node("Mul", "d,s", "m"), node("Reshape", "m,flat", "r"), node("Transpose", "r", "w"), node("MatMul", "x,w", "y")]
    after = [node("Cast", "q", "f", to=F), node("Sub", "f,z", "d"), *ends]
    before = [node("Cast", "q", "f", to=I32), node("Sub", "f,z", "e"), node("Cast", "e", "d", to=F), *ends]
    for nodes, kind in [(after, np.float32), (before, np.int32)]:
        made = model(nodes, [info("x", [k, k])], [info("y", [k, n])], q=q, s=s, z=z.astype(kind), flat=np.array([n, k]))
        yield made, dict(x=x), dict(y=w.T), 0, store(8, n, k)
    # A table whose rows are gathered.
    made = model([*after[:-2], node("Gather", "r,i", "y")], [info("i", [4], I64)], [info("y", [4, k])],
                 q=q, s=s, z=z.astype(np.float32), flat=np.array([n, k]))
    ids = np.array([11, 0, -1, 5], np.int64)
    yield made, dict(i=ids), dict(y=w[ids]), 0, store(8, n, k)
    # Scales per element of K, and zero points between the integers: floats as before.
    s, z = np.abs(scales_of(1, k)), np.float32(7.5)
    q = q.reshape(n, k)
    for s, z in [(s, np.float32(7)), (np.float32(0.3), z)]:
        made = model([node("Cast", "q", "f", to=F), node("Sub", "f,z", "d"), node("Mul", "d,s", "w"), node("Gemm", "x,w", "y", transB=1)],
                     [info("x", [k, k])], [info("y", [k, n])], q=q, s=s, z=z)
        w = ((q.astype(np.float32) - z) * s).astype(np.float32)
        yield made, dict(x=x), dict(y=w.T), 0, rf"tensor<{n}x{k}xf32>"


@case
def quantised_activations():
    """QDQ around the input with a static scale."""
    k, n = 24, 10
    q, s = integers(-128, 127, n, k).astype(np.int8), np.abs(scales_of(n))
    made = model([node("QuantizeLinear", "x,xs,xz", "xq"), node("DequantizeLinear", "xq,xs,xz", "xd"),
                  node("DequantizeLinear", "q,s", "w", axis=0), node("Transpose", "w", "t"), node("MatMul", "xd,t", "y")],
                 [info("x", [3, k])], [info("y", [3, n])], q=q, s=s, xs=np.float32(0.02), xz=np.uint8(131))
    x = rng.standard_normal((3, k)).astype(np.float32)
    rounded = np.clip(np.rint(x / np.float32(0.02)) + 131, 0, 255) - 131
    y = (rounded * np.float32(0.02)) @ (q * s[:, None].astype(np.float64)).T
    yield made, dict(x=x), dict(y=y), 1e-2, store(8, n, k)


def dynamically(x):
    """DynamicQuantizeLinear by its definition."""
    low, high = min(x.min(), np.float32(0)), max(x.max(), np.float32(0))
    scale = np.float32((high - low) / np.float32(255))
    zero = np.uint8(np.rint(np.clip(0 - low / scale, 0, 255))) if scale else np.uint8(0)
    y = np.clip(np.rint(x / scale) + zero, 0, 255).astype(np.uint8) if scale else np.zeros(x.shape, np.uint8)
    return y, scale, zero


@case
def dynamic_quantize_linear():
    made = model([node("DynamicQuantizeLinear", "x", "y,s,z")], [info("x", [3, 7])],
                 [info("y", [3, 7], U8), info("s", []), info("z", [], U8)])
    x = rng.standard_normal((3, 7)).astype(np.float32)
    for x in [x, x + 3, x - 3, np.abs(x), -np.abs(x), np.zeros_like(x), x * np.float32(1e30),
              np.array([0, 2, -3, -2.5, 1.34, 0.5] + [0] * 15, np.float32).reshape(3, 7)]:
        y, s, z = dynamically(x)
        yield made, dict(x=x), dict(y=y, s=s, z=z), 0, "arith.fptoui"


@case
def dynamic_layer():
    """As dynamic quantisation of a linear layer is exported."""
    for kind, per_column in [(np.int8, False), (np.uint8, True), (np.int8, True)]:
        k, n = 40, 70
        low = -128 if kind == np.int8 else 0
        w, wz = integers(low, low + 255, k, n).astype(kind), integers(low, low + 255, n if per_column else 1).astype(kind)
        ws, b = np.abs(scales_of(n)), rng.standard_normal(n).astype(np.float32)
        made = model([node("DynamicQuantizeLinear", "x", "xq,xs,xz"), node("MatMulInteger", "xq,w,xz,wz", "p"),
                      node("Cast", "p", "f", to=F), node("Mul", "xs,ws", "s"), node("Mul", "f,s", "m"), node("Add", "m,b", "y")],
                     [info("x", [2, 3, k])], [info("y", [2, 3, n])], w=w, wz=wz if per_column else wz[0], ws=ws, b=b)
        x = rng.standard_normal((2, 3, k)).astype(np.float32)
        q, s, z = dynamically(x)
        p = (q.astype(np.int64) - z) @ (w.astype(np.int64) - wz.astype(np.int64))
        yield made, dict(x=x), dict(y=p.astype(np.float64) * (s * ws.astype(np.float64)) + b), 1e-2, store(8, n, k)


@case
def matmul_integer():
    """Zero points for all, per row and per column; constants and activations on either side; vectors; batches."""
    def run(a, b, za, zb, fixed, shape=None):
        values, names = dict(a=a, b=b), "a,b"
        names += "" if za is None and zb is None else ",za" if za is not None else ","
        names += ",zb" if zb is not None else ""
        constants = {k: v for k, v in dict(za=za, zb=zb).items() if v is not None}
        constants.update({k: v for k, v in values.items() if k in fixed})
        values = {k: v for k, v in values.items() if k not in fixed}
        wide = lambda v: 0 if v is None else np.asarray(v, np.int64)
        zr = wide(za)[:, None] if za is not None and np.ndim(za) == 1 else wide(za)
        y = (a.astype(np.int64) - zr) @ (b.astype(np.int64) - wide(zb))
        kinds = {np.dtype(np.int8): I8, np.dtype(np.uint8): U8}
        made = model([node("MatMulInteger", names, "y")], [info(k, v.shape, kinds[v.dtype]) for k, v in values.items()],
                     [info("y", y.shape, I32)], **constants)
        return made, values, dict(y=y), 0, shape

    signed = lambda *s: integers(-128, 127, *s).astype(np.int8)
    unsigned = lambda *s: integers(0, 255, *s).astype(np.uint8)
    a, b = unsigned(5, 66), signed(66, 3)
    yield run(a, b, None, None, "b", store(8, 3, 66))
    yield run(a, b, np.uint8(255), None, "b", store(8, 3, 66))
    yield run(a, b, unsigned(5), signed(3), "b", store(8, 3, 66))
    yield run(a, b, unsigned(5), np.int8(-128), "", "linalg.contract")
    yield run(signed(5, 66), unsigned(66, 3), None, np.uint8(200), "b", store(8, 3, 66))
    yield run(unsigned(66, 5), unsigned(5, 4), unsigned(66), unsigned(4), "a", "tensor<66x5xi8>")
    yield run(signed(2, 3, 16), unsigned(2, 16, 40), np.int8(3), unsigned(2, 1, 40), "b", "tensor<2x16x40xi8>")
    yield run(signed(2, 3, 16), unsigned(16, 40), signed(2, 3, 1), unsigned(40), "b", store(8, 40, 16))
    yield run(unsigned(70), signed(70), np.uint8(9), np.int8(-7), "b", "tensor<70x1xi8>")
    yield run(unsigned(70), signed(70, 2), np.uint8(9), signed(2), "b", store(8, 2, 70))
    yield run(unsigned(4, 70), signed(70), unsigned(4), np.int8(5), "b", "tensor<70x1xi8>")
    # The largest sums of a layer.
    yield run(np.full((1, 4096), 255, np.uint8), np.full((4096, 2), -128, np.int8), np.uint8(0), np.int8(127), "b", "4096xi8")


@case
def conv_integer():
    for kind, groups, taps, channels in [(np.int8, 6, 4, 6), (np.uint8, 1, 3, 100), (np.int8, 2, 5, 8)]:
        low = -128 if kind == np.int8 else 0
        w = integers(low, low + 255, channels, channels // groups, taps).astype(kind)
        wz = integers(low, low + 255, channels).astype(kind) if groups == 1 else kind(low + 200)
        x, xz = integers(0, 255, 1, channels, 12).astype(np.uint8), np.uint8(77)
        made = model([node("ConvInteger", "x,w,xz,wz", "y", group=groups, pads=[taps - 1, 0])], [info("x", x.shape, U8)],
                     [info("y", x.shape, I32)], w=w, xz=xz, wz=wz)
        padded = np.pad(x.astype(np.int64) - xz, ((0, 0), (0, 0), (taps - 1, 0)))
        less = w.astype(np.int64) - (wz.astype(np.int64)[:, None, None] if groups == 1 else int(wz))
        y, each = np.zeros(x.shape, np.int64), channels // groups
        for c in range(channels):
            for t in range(12):
                y[0, c, t] = (padded[0, c // each * each:(c // each + 1) * each, t:t + taps] * less[c]).sum()
        yield made, dict(x=x), dict(y=y), 0, "ssm.conv" if groups < channels else "ssm.causal_conv1d"


def check(made, values, expected, atol, stored, tools, folder):
    compiler, runner, flags = tools
    path, library, given, result = (os.path.join(folder, f) for f in ("m.onnx", "m.so", "in.npz", "out.npz"))
    with open(path, "wb") as file:
        file.write(made.SerializeToString())
    np.savez(given, **values)
    subprocess.run([compiler, path, "-o", library, "--cache-dir=", *flags], check=True)
    subprocess.run([runner, library, "--input", given, "--output", result], check=True)
    got = np.load(result)
    for name, want in expected.items():
        want = np.asarray(want)
        if got[name].shape != want.shape:
            return f"{name}: shape {got[name].shape}, expected {want.shape}"
        error = np.abs(got[name].astype(np.float64) - want.astype(np.float64)).max()
        if not error <= atol:
            return f"{name}: off by {error}"
    text = subprocess.run([compiler, path, "--stop-after=raise", "-o", "-"], check=True, capture_output=True, text=True).stdout
    pattern, count = stored if isinstance(stored, tuple) else (stored, None)
    held = re.findall(r"(?:ssm\.weight|arith\.constant).*: " + pattern, text) if "tensor" in pattern else [pattern in text]
    if not any(held) or (count and len(held) != count):
        return f"expected the weight as {pattern}, but got\n{text[:3000]}"
    return None


def main():
    compiler, runner, *rest = sys.argv[1:]
    flags = [a for a in rest if a.startswith("--")]
    names = [a for a in rest if not a.startswith("--")] or list(CASES)
    failed = 0
    for name in names:
        count = 0
        for made, values, expected, atol, stored in CASES[name]():
            with tempfile.TemporaryDirectory() as folder:
                problem = check(made, values, expected, atol, stored, (compiler, runner, flags), folder)
            if problem:
                failed += 1
                print(f"{name} {count}: {problem}")
            count += 1
        print(f"{name}: {count} run")
    sys.exit(failed != 0)


main()
