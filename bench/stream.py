"""Times compiled models as streams beside ONNX Runtime, on one thread.

Usage: stream.py BUILD [MODEL.onnx...]

Per model: a step of the stream at several positions, a frame of a prefill in
chunks of 64, and one run of ONNX Runtime: for a file of a single step that is
a step too, for a file of a whole sequence what each new frame costs without a
state. One JSON line per model; `read_limit_us` is how long reading the
artefact once takes, weights and code, `fma_limit_us` how long the multiplications of the linear layers take.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile

import numpy as np
import onnxruntime as ort

from forward import HERE, ROOT, SHARED, linear_flops, session, time_ort

ROUNDS = 5


def default_models():
    shared = [os.path.join(SHARED, f"wikitext_{m}", f"{f}.onnx")
              for m, f in [("mamba", "step"), ("mamba2", "prefill64"), ("mamba2", "step")]]
    return [os.path.join(ROOT, "examples", "wikitext_mamba", "prefill64.onnx"), *filter(os.path.exists, shared)]


def run_stream(build, library):
    out = subprocess.run([os.path.join(build, "bench", "stream-bench"), library], check=True, capture_output=True,
                         text=True).stdout
    return json.loads(out)


def main():
    build, *models = sys.argv[1:]
    limits = json.loads(subprocess.run([os.path.join(build, "bench", "machine-limits")], check=True,
                                       capture_output=True, text=True).stdout)
    compiler = os.path.join(build, "bin", "itera-compile")
    for path in models or default_models():
        data = np.load(os.path.splitext(path)[0] + ".npz")
        sess = session(path)
        inputs = {i.name: data[i.name] for i in sess.get_inputs()}
        with tempfile.TemporaryDirectory() as folder:
            library = os.path.join(folder, "m.so")
            subprocess.run([compiler, path, "-o", library, "--mcpu=native", "--cache-dir=", "--stream=required"],
                           check=True, stderr=subprocess.DEVNULL)
            rounds = [(time_ort(sess, inputs), run_stream(build, library)) for _ in range(ROUNDS)]
            artefact = os.path.getsize(library)
        steps = {t: round(statistics.median(r[1]["step_us"][t] for r in rounds), 2) for t in rounds[0][1]["step_us"]}
        frames = data[sess.get_inputs()[0].name].shape[1]
        print(json.dumps({
            "bench": "stream",
            "model": os.path.relpath(path, ROOT),
            "threads": 1,
            "step_us": steps,
            "chunk": rounds[0][1]["chunk"],
            "prefill_us_per_frame": round(statistics.median(r[1]["prefill_us_per_frame"] for r in rounds), 2),
            "step_over_prefill": round(statistics.median(r[1]["step_over_prefill"] for r in rounds), 2),
            "onnxruntime": ort.__version__,
            "onnxruntime_run_us": round(statistics.median(r[0] for r in rounds), 1),
            "onnxruntime_run_frames": frames,
            "onnxruntime_over_step": round(statistics.median(r[0] / r[1]["step_us"]["t=100"] for r in rounds), 1),
            "read_limit_us": round(artefact / limits["read_l3_gbps"] * 1e-3, 1),
            "fma_limit_us": round(linear_flops(compiler, path) / frames / limits["fma_gflops"] * 1e-3, 2),
            "state_bytes": rounds[0][1]["state_bytes"],
        }), flush=True)


main()
