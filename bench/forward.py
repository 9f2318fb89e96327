"""Times `forward` of compiled models beside ONNX Runtime, on one thread.

Usage: forward.py BUILD [MODEL.onnx...]

The two run in turn, several rounds, so that a change of the machine's speed
hits both; the ratio is the median over the rounds. One JSON line per model.
"""

import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np
import onnxruntime as ort

ROUNDS = 7
HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
SHARED = os.path.join(ROOT, "..", "shared", "models")


def default_models():
    models = [os.path.join(ROOT, "examples", "wikitext_mamba", "prefill64.onnx")]
    lite = os.path.join(SHARED, "itera_lite_micro.onnx")
    if os.path.exists(lite):
        models.insert(0, lite)
    return models


def session(path):
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def linear_flops(compiler, path):
    """Multiplications and additions of the model's linear layers."""
    text = subprocess.run([compiler, path, "--stop-after=raise", "-o", "-"], check=True, capture_output=True,
                          text=True).stdout
    flops = 0
    for k, y in re.findall(r"= ssm\.linear .*: tensor<(?:\d+x)*?(\d+)xf32>.* -> tensor<((?:\d+x)+)f32>", text):
        flops += 2 * int(k) * int(np.prod([int(d) for d in y.split("x") if d]))
    return flops


def time_ort(sess, inputs, seconds=0.3):
    times = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < 3:
        start = time.perf_counter()
        sess.run(None, inputs)
        times.append(time.perf_counter() - start)
    return statistics.median(times) * 1e6


def time_itera(runner, library, npz, repeat):
    out = subprocess.run([runner, library, "--input", npz, "--bench", f"--repeat={repeat}", "--json"],
                         check=True, capture_output=True, text=True).stdout
    return json.loads(out)["median_us"]


def main():
    build, *models = sys.argv[1:]
    limits = subprocess.run([os.path.join(build, "bench", "machine-limits")], check=True, capture_output=True,
                            text=True).stdout
    print(limits, end="", flush=True)
    gflops = json.loads(limits)["fma_gflops"]
    compiler = os.path.join(build, "bin", "itera-compile")
    runner = os.path.join(build, "bin", "itera-run")
    for path in models or default_models():
        data = np.load(os.path.splitext(path)[0] + ".npz")
        start = time.perf_counter()
        sess = session(path)
        load = time.perf_counter() - start
        names = [i.name for i in sess.get_inputs()]
        inputs = {name: data[name] for name in names}
        with tempfile.TemporaryDirectory() as folder:
            library, npz = os.path.join(folder, "m.so"), os.path.join(folder, "in.npz")
            np.savez(npz, **inputs)
            start = time.perf_counter()
            subprocess.run([compiler, path, "-o", library, "--cache-dir="], check=True, stderr=subprocess.DEVNULL)
            seconds = time.perf_counter() - start
            time_itera(runner, library, npz, 3)
            rounds = [(time_ort(sess, inputs), time_itera(runner, library, npz, 50)) for _ in range(ROUNDS)]
            print(json.dumps({
                "bench": "forward",
                "model": os.path.relpath(path, ROOT),
                "threads": 1,
                "onnxruntime": ort.__version__,
                "onnxruntime_us": round(statistics.median(r[0] for r in rounds), 1),
                "itera_us": round(statistics.median(r[1] for r in rounds), 1),
                "ratio": round(statistics.median(r[0] / r[1] for r in rounds), 2),
                "fma_limit_us": round(linear_flops(compiler, path) / gflops * 1e-3, 1),
                "onnxruntime_load_s": round(load, 2),
                "itera_compile_s": round(seconds, 2),
                "itera_bytes": os.path.getsize(library),
            }), flush=True)


if __name__ == "__main__":
    main()
