"""Compiles a model file, runs every case of its reference, and compares.

Usage: check_model.py MODEL.onnx REFERENCE.npz --atol=A [--rtol=R]
           [--runner=PROGRAM ARG... --] [itera-compile flag...]

The reference's arrays are named as the model's inputs and outputs, those of
case k with the ending @casek; NAME@f64, in double precision, is preferred.
With --runner the model runs by the C host examples/c/run_model.c under an
emulator: everything up to -- is put in front of its arguments.
"""

import os
import subprocess
import sys
import tempfile

import numpy as np
import onnx


def main():
    model, reference, *rest = sys.argv[1:]
    runner = []
    if "--" in rest:
        cut = rest.index("--")
        start = next(i for i, a in enumerate(rest) if a.startswith("--runner="))
        runner = [rest[start].split("=", 1)[1], *rest[start + 1 : cut]]
        rest = rest[:start] + rest[cut + 1 :]
    tolerance = {"--atol": 0.0, "--rtol": 0.0}
    flags = []
    for argument in rest:
        name, _, value = argument.partition("=")
        if name in tolerance:
            tolerance[name] = float(value)
        else:
            flags.append(argument)

    graph = onnx.load(model, load_external_data=False).graph
    constant = {i.name for i in graph.initializer}
    inputs = [i.name for i in graph.input if i.name not in constant]
    outputs = [o.name for o in graph.output]
    data = np.load(reference)
    compared = 0
    with tempfile.TemporaryDirectory() as folder:
        library = os.path.join(folder, "model.so")
        case = 0
        while inputs[0] + suffix(case) in data:
            values = {name: data[name + suffix(case)] for name in inputs}
            shapes = [f"--shape={n}=" + "x".join(map(str, v.shape)) for n, v in values.items()]
            subprocess.run(["itera-compile", model, "-o", library, *shapes, *flags], check=True,
                           stderr=subprocess.PIPE)
            results = run(library, values, outputs, folder, runner)
            for name in outputs:
                wide = data.get(name + "@f64" + suffix(case))
                expected = wide if wide is not None else data[name + suffix(case)]
                got = results[name].reshape(-1).astype(np.float64)
                want = expected.reshape(-1).astype(np.float64)
                difference = np.abs(got - want)
                bound = tolerance["--atol"] + tolerance["--rtol"] * np.abs(want)
                print(f"case {case} {name} max_abs_diff {difference.max(initial=0):.3g}")
                if got.size != want.size or not (difference <= bound).all():
                    sys.exit(f"case {case}: output {name} is not within {tolerance}")
                compared += got.size
            case += 1
    if compared == 0:
        sys.exit("nothing was compared")


def suffix(case):
    return f"@case{case}" if case else ""


def run(library, values, outputs, folder, runner):
    result = os.path.join(folder, "out.npz")
    if not runner:
        source = os.path.join(folder, "in.npz")
        np.savez(source, **values)
        subprocess.run(["itera-run", library, "--input", source, "--output", result], check=True)
        return dict(np.load(result))
    files = []
    for index, value in enumerate(values.values()):
        files.append(os.path.join(folder, f"in{index}.bin"))
        np.ascontiguousarray(value).tofile(files[-1])
    results = [os.path.join(folder, f"out{i}.bin") for i in range(len(outputs))]
    subprocess.run([*runner, library, *files, "-o", *results], check=True, stdout=subprocess.DEVNULL)
    return {name: np.fromfile(path, np.float32) for name, path in zip(outputs, results)}


main()
