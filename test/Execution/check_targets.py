# SPDX-License-Identifier: Apache-2.0
"""Holds the results of one model on many targets against each other.

Usage: check_targets.py ITERA_COMPILE MODEL.onnx HOST [-- RUNNER... FOREIGN_HOST]

HOST is stream_script.c for this machine, FOREIGN_HOST for the other one, RUNNER an
emulator that takes -cpu. docs/Quantization.md says what is expected:

* a linear of integer weights whose input and scales are integers gives NumPy's
  integer sums, on every target;
* targets with a fused multiply-add give the same bits, for the whole model, in
  float32 and quantised;
* those without one round a product of floats twice. Without quantisation that is the
  tolerance for whole models. With it, a difference in the last bit can tip the
  rounding of an activation, by one step of its scale. A step has 12 times the
  variance of a rounding, and not one in 1,200 roundings tips: the outputs move by less
  than a tenth of what quantisation does to them, in the root mean square.

On each target, steps and chunks give the bits of the whole sequence.
"""

import os
import struct
import subprocess
import sys
import tempfile

import numpy as np

# Architecture, CPU to compile for, CPU to emulate, whether it fuses.
TARGETS = [
    ("x86_64", "x86-64-v3", None, True),
    ("x86_64", "znver4", None, True),
    ("x86_64", "cascadelake", None, True),
    ("x86_64", "x86-64-v4", None, True),
    ("x86_64", "x86-64-v2", None, False),
    ("x86_64", "x86-64", None, False),
    ("aarch64", "cortex-a53", "cortex-a53", True),
    ("aarch64", "cortex-a76", "cortex-a76", True),
    ("aarch64", "cortex-a53", "max", True),
    ("aarch64", "neoverse-v1", "max", True),
]


# docs/Testing.md
MODEL_TOLERANCE = 1e-4


def call(letter, number, *arrays):
    return letter.encode() + struct.pack("<Q", number) + b"".join(a.tobytes() for a in arrays)


class Target:
    def __init__(self, host, foreign, arch, cpu, emulated, fuses):
        self.arch, self.cpu, self.fuses = arch, cpu, fuses
        self.name = cpu if emulated in (None, cpu) else f"{cpu} on {emulated}"
        self.command = [foreign[0], "-cpu", emulated, *foreign[1:]] if emulated else [host]


def run(command, library, calls):
    """What the calls that deliver gave; None if the machine cannot run it."""
    done = subprocess.run([*command, library], input=b"".join(calls), capture_output=True)
    if done.returncode and b"lacks" in done.stderr:
        return None
    if done.returncode:
        sys.exit(f"{library}: exit code {done.returncode} {done.stderr.decode()[-400:]}")
    rest, results = done.stdout, []
    while rest:
        _, size = struct.unpack("<QQ", rest[:16])
        results.append(np.frombuffer(rest[16 : 16 + size], np.float32))
        rest = rest[16 + size :]
    return results


def compile(compiler, source, path, target, *flags):
    done = subprocess.run([compiler, source, "-o", path, f"--target={target.arch}", f"--mcpu={target.cpu}", *flags],
                          capture_output=True, text=True)
    if done.returncode or done.stderr:
        sys.exit(f"{target.name} {flags}: exit code {done.returncode}: {done.stderr[:800]}")


# tokens, depth, rows, bits, group (0: the row), int8_input, zero points
LINEARS = [
    (1, 64, 32, 4, 32, "token", False),
    (1, 100, 37, 4, 32, "group", False),
    (7, 96, 37, 4, 32, "token", False),
    (33, 64, 48, 4, 16, "group", False),
    (13, 72, 33, 4, 24, "group", True),
    (5, 40, 130, 4, 128, "token", True),
    (4, 72, 16, 4, 0, "token", False),
    (2, 64, 16, 4, 32, "token", False),
    (1, 256, 40, 8, 0, "token", False),
    (64, 128, 48, 8, 0, "token", False),
    (11, 61, 19, 8, 0, "token", True),
    (3, 100, 21, 8, 32, "group", False),
]


def linears():
    """Text of a model of all of them, their inputs and their integer sums."""
    arguments, body, types, inputs, sums = [], [], [], [], []
    for i, (tokens, depth, rows, bits, group, scales, with_zeros) in enumerate(LINEARS):
        rng = np.random.default_rng(i)
        size = group or depth
        groups = -(-depth // size)
        low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
        w = rng.choice([low, high], (rows, depth))
        w[::2] = rng.integers(low, high + 1, w[::2].shape)
        zeros = rng.integers(low, high + 1, (rows, groups)) * with_zeros
        x = rng.choice([-127, 127], (tokens, depth))
        x[::2] = rng.integers(-127, 128, x[::2].shape)
        x[:, ::8] = 127  # in each group, so that its scale is 1
        sums.append(x @ (w - np.repeat(zeros, size, axis=1)[:, :depth]).T)
        assert abs(sums[-1]).max() < 1 << 24
        inputs.append(x.astype(np.float32))
        t = [f"tensor<{tokens}x{depth}xf32>", f"tensor<{rows}x{depth}xi{bits}>", f"tensor<{rows}x{groups}xf32>",
             f"tensor<{rows}x{groups}xi8>", f"tensor<{tokens}x{rows}xf32>"]
        arguments.append(f'%x{i}: {t[0]} {{ssm.name = "x{i}"}}')
        types.append(f'{t[4]} {{ssm.name = "y{i}"}}')
        body.append(f"%w{i} = arith.constant dense<{w.tolist()}> : {t[1]}")
        body.append(f"%s{i} = arith.constant dense<1.0> : {t[2]}")
        body.append(f"%z{i} = arith.constant dense<{zeros.tolist()}> : {t[3]}")
        body.append(f"%y{i} = ssm.linear %x{i}, %w{i} scales(%s{i} : {t[2]}) "
                    + (f"zero_points(%z{i} : {t[3]}) " if with_zeros else "")
                    + (f"group {group} " if group else "")
                    + f"int8_input {scales} : {t[0]}, {t[1]} -> {t[4]}")
    every = range(len(LINEARS))
    text = f"""module attributes {{ssm.model_name = "linears", ssm.source_hash = "0"}} {{
func.func @forward({", ".join(arguments)}) -> ({", ".join(types)}) {{
{chr(10).join(body)}
return {", ".join(f"%y{i}" for i in every)} : {", ".join(t.split(" {")[0] for t in types)}
}}
}}
"""
    return text, inputs, sums


def check_sums(compiler, folder, targets):
    text, inputs, sums = linears()
    source, library = (os.path.join(folder, "linears" + end) for end in (".mlir", ".so"))
    with open(source, "w") as file:
        file.write(text)
    for target in targets:
        compile(compiler, source, library, target, "--stream=none")
        results = run(target.command, library, [call("w", 0, *inputs)])
        if results is None:
            print(f"{target.name}: not run, this machine lacks something")
            continue
        for linear, expected, got in zip(LINEARS, sums, results, strict=True):
            if not (got == expected.reshape(-1)).all():
                sys.exit(f"{target.name}: linear {linear} is not the integer sum")
        print(f"{target.name}: integer sums of {len(results)} linears")


def model_outputs(compiler, model, folder, target, bits):
    path = os.path.join(folder, "model.so")
    compile(compiler, model, path, target, f"--bits={bits}")
    # Of the example model: ids of bytes.
    ids = np.random.default_rng(1).integers(0, 256, 64)
    calls = [call("w", 64, ids), call("b", 0)]
    calls += [call("s", 1, ids[t : t + 1]) for t in range(24)]
    results = run(target.command, path, [*calls, call("f", 40, ids[24:]), call("e", 0)])
    if results is None:
        return None
    if not same_bits(results[0], np.concatenate(results[1:])):
        sys.exit(f"{target.name}, {bits} bits: the stream differs from the whole sequence")
    return results[0]


def same_bits(a, b):
    return a.tobytes() == b.tobytes()


def check_model(compiler, model, folder, targets):
    exact = None
    for bits in (32, 8, 4):
        fused = {}
        for target in targets:
            got = model_outputs(compiler, model, folder, target, bits)
            if got is None:
                continue
            if target.fuses:
                fused[target.name] = got
                name, first = next(iter(fused.items()))
                if not same_bits(first, got):
                    count = (first != got).sum()
                    sys.exit(f"{bits} bits: {count} outputs differ between {name} and {target.name}")
        if not fused:
            sys.exit("no target with a fused multiply-add")
        reference = next(iter(fused.values()))
        exact = reference if exact is None else exact
        print(f"{bits} bits: {reference.size} outputs have the same bits on {', '.join(fused)}")
        tolerance = max(MODEL_TOLERANCE, 0.1 * rms(reference - exact))
        for target in targets:
            if target.fuses:
                continue
            got = model_outputs(compiler, model, folder, target, bits)
            if got is None:
                continue
            difference = rms(got - reference) if bits < 32 else float(abs(got - reference).max())
            print(f"{bits} bits: {target.name} differs by {difference:.3g}, allowed {tolerance:.3g}")
            if not difference <= tolerance:
                sys.exit(f"{bits} bits: {target.name} differs by too much")


def rms(a):
    return float(np.sqrt(np.mean(a.astype(np.float64) ** 2)))


def main():
    compiler, model, host, *rest = sys.argv[1:]
    targets = [Target(host, rest[1:], *t) for t in TARGETS if rest or not t[2]]
    with tempfile.TemporaryDirectory() as folder:
        check_sums(compiler, folder, targets)
        check_model(compiler, model, folder, targets)


main()
