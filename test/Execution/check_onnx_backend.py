"""Compiles, runs and compares the operator tests that the onnx package brings:
of every operator that the compiler says it supports.

Usage: check_onnx_backend.py ITERA_COMPILE ITERA_RUN [--jobs=N] [--only=REGEX]
           [--per-op] [itera-compile flag...]

A test hands shapes, axes and the like to its node as inputs. A model's file
holds them as constants, and the compiler needs them so: a test that is refused
is tried again with its whole-number inputs as constants, then with all but the
first input, then with all. Inputs that are no dense tensors of numbers are not
tried. Tests of an opset that is still being written run as the newest that the
compiler knows. A refusal is fine here; a wrong result, or any other end, is not.
"""

import argparse
import collections
import concurrent.futures
import os
import re
import subprocess
import sys
import tempfile

import numpy as np
from onnx import helper, numpy_helper
from onnx.backend.test.case.node import collect_testcases

# Results that chance decides.
RANDOM = re.compile("bernoulli|random")
# What float16 sums keep.
HALF = dict(rtol=1e-2, atol=2e-3)


def operators(graph):
    for node in graph.node:
        yield f"{node.domain}::{node.op_type}" if node.domain not in ("", "ai.onnx") else node.op_type
        for attribute in node.attribute:
            for inner in [attribute.g, *attribute.graphs]:
                yield from operators(inner)


def supported(compiler):
    table = subprocess.run([compiler, "--list-supported-ops"], check=True, capture_output=True, text=True).stdout
    rows = [line.split("|") for line in table.splitlines()[2:]]
    newest = max(int(row[2].split()[-1]) for row in rows)
    return {row[1].strip() for row in rows}, newest


def arrays(values):
    """The values as arrays of numbers, or None where one is not."""
    result = []
    for value in values:
        if hasattr(value, "SerializeToString") and hasattr(value, "raw_data"):
            value = numpy_helper.to_array(value)
        if not isinstance(value, (np.ndarray, np.generic)) or np.asarray(value).dtype.kind not in "fiub":
            return None
        result.append(np.asarray(value))
    return result


def with_constants(model, names, values):
    made = type(model)()
    made.CopyFrom(model)
    kept = [i for i in made.graph.input if i.name not in names]
    del made.graph.input[:]
    made.graph.input.extend(kept)
    for name in names:
        made.graph.initializer.append(numpy_helper.from_array(values[name], name))
    return made


def choices(values):
    names = list(values)
    whole = [n for n in names if values[n].dtype.kind in "iub" and values[n].ndim <= 1]
    tried = set()
    for constant in ([], [n for n in whole if n != names[0]], names[1:], names):
        if tuple(constant) not in tried:
            tried.add(tuple(constant))
            yield constant


def differs(got, want, test):
    if got.shape != want.shape:
        return f"shape {got.shape}, expected {want.shape}"
    if got.dtype != want.dtype:
        return f"type {got.dtype}, expected {want.dtype}"
    bound = dict(rtol=max(test.rtol, 1e-4), atol=max(test.atol, 1e-5))
    if want.dtype == np.float16:
        bound = HALF
    if want.dtype.kind != "f":
        bound = dict(rtol=0, atol=0)
    if want.dtype.kind == "b":
        same = got == want
    else:
        same = np.isclose(got.astype(np.float64), want.astype(np.float64), equal_nan=True, **bound)
    if not same.all():
        where = tuple(int(i[0]) for i in np.nonzero(~same))
        return f"{np.count_nonzero(~same)} of {want.size} values, first {got[where]} for {want[where]} at {where}"
    return None


def attempt(test, values, constant, expected, tools, folder):
    compiler, runner, flags = tools
    path, library, given, result = (os.path.join(folder, f) for f in ("m.onnx", "m.so", "in.npz", "out.npz"))
    model = with_constants(test.model, constant, values)
    with open(path, "wb") as file:
        file.write(model.SerializeToString())
    inputs = {n: v for n, v in values.items() if n not in constant}
    np.savez(given, **inputs)
    shapes = [f"--shape={n}=" + "x".join(map(str, v.shape)) for n, v in inputs.items() if v.ndim]
    done = subprocess.run([compiler, path, "-o", library, "--cache-dir=", *shapes, *flags], capture_output=True, text=True)
    if done.returncode == 1:
        return "refused", done.stderr.strip().split("\n")[0]
    if done.returncode:
        return "crash", f"compiler ended with {done.returncode}: {done.stderr.strip()[-400:]}"
    done = subprocess.run([runner, library, "--input", given, "--output", result], capture_output=True, text=True)
    if done.returncode:
        return "crash", f"run ended with {done.returncode}: {done.stderr.strip()[-400:]}"
    got = np.load(result)
    for name, want in expected.items():
        problem = differs(got[name], want, test) if name in got else "missing"
        if problem:
            return "wrong", f"{name}: {problem}"
    return "passed", ""


def check(test, tools):
    sets = test.data_sets[0]
    given, wanted = arrays(sets[0]), arrays(sets[1])
    if given is None or wanted is None:
        return "refused", "not only tensors of numbers"
    values = dict(zip([i.name for i in test.model.graph.input], given))
    expected = dict(zip([o.name for o in test.model.graph.output], wanted))
    with tempfile.TemporaryDirectory() as folder:
        for constant in choices(values):
            outcome = attempt(test, values, constant, expected, tools, folder)
            if outcome[0] != "refused":
                return outcome
    return outcome


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("compiler")
    parser.add_argument("runner")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", default="")
    parser.add_argument("--per-op", action="store_true")
    options, flags = parser.parse_known_args()
    known, newest = supported(options.compiler)
    tests = []
    for test in collect_testcases(None):
        if RANDOM.search(test.name) or not re.search(options.only, test.name) or not test.data_sets:
            continue
        if set(operators(test.model.graph)) <= known:
            for opset in test.model.opset_import:
                if opset.domain in ("", "ai.onnx"):
                    opset.version = min(opset.version, newest)
            tests.append(test)
    tools = options.compiler, options.runner, flags
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        outcomes = list(pool.map(lambda test: check(test, tools), tests))

    total, per_op = collections.Counter(), collections.defaultdict(collections.Counter)
    for test, (kind, why) in zip(tests, outcomes):
        total[kind] += 1
        op = next(operators(test.model.graph), "none")
        per_op[op][kind] += 1
        if kind in ("wrong", "crash") or (kind == "refused" and options.per_op):
            print(f"{kind}: {test.name} ({op}): {why}")
    if options.per_op:
        for op in sorted(per_op):
            print(op + ": " + ", ".join(f"{n} {kind}" for kind, n in sorted(per_op[op].items())))
    print(f"{total['passed']} passed, {total['refused']} refused, {total['wrong']} wrong, {total['crash']} crashed")
    sys.exit(bool(total["wrong"] or total["crash"] or not total["passed"]))


main()
