"""Times one model at 32, 16, 8 and 4 bits as a stream, on one thread.

Usage: quantize.py BUILD [MODEL.onnx...]

The artefacts take turns, so that what else the machine does hits all alike. One
JSON line per model and number of bits: the bytes of the artefact and of its
weights, a step at frame 100, a frame of a prefill in chunks of 64, both medians
of five rounds, and how much faster they are than 32 bits (the median of the
rounds' ratios).
"""

import json
import os
import re
import statistics
import subprocess
import sys
import tempfile

from forward import ROOT, SHARED

ROUNDS = 5
BITS = (32, 16, 8, 4)


def default_models():
    shared = [os.path.join(SHARED, f"wikitext_{m}", "step.onnx") for m in ("mamba", "mamba2")]
    return [os.path.join(ROOT, "examples", "wikitext_mamba", "prefill64.onnx"), *filter(os.path.exists, shared)]


def output_of(command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout


def weight_bytes(compiler, path, bits):
    text = output_of([compiler, path, "--mcpu=native", f"--bits={bits}", "--stop-after=plan", "-o", "-"])
    return int(re.search(r"ssm\.weight_bytes = (\d+)", text).group(1))


def main():
    build, *models = sys.argv[1:]
    compiler = os.path.join(build, "bin", "itera-compile")
    stream = os.path.join(build, "bench", "stream-bench")
    for path in models or default_models():
        with tempfile.TemporaryDirectory() as folder:
            libraries = {bits: os.path.join(folder, f"m{bits}.so") for bits in BITS}
            for bits, library in libraries.items():
                output_of([compiler, path, "-o", library, "--mcpu=native", f"--bits={bits}", "--stream=required"])
            sizes = {bits: os.path.getsize(library) for bits, library in libraries.items()}
            rounds = [{bits: json.loads(output_of([stream, library])) for bits, library in libraries.items()}
                      for _ in range(ROUNDS)]
        for bits in BITS:
            step = [(r[32]["step_us"]["t=100"], r[bits]["step_us"]["t=100"]) for r in rounds]
            frame = [(r[32]["prefill_us_per_frame"], r[bits]["prefill_us_per_frame"]) for r in rounds]
            print(json.dumps({
                "bench": "quantize",
                "model": os.path.relpath(path, ROOT),
                "bits": bits,
                "threads": 1,
                "artefact_bytes": sizes[bits],
                "weight_bytes": weight_bytes(compiler, path, bits),
                "step_us": round(statistics.median(own for _, own in step), 2),
                "step_speedup": round(statistics.median(f32 / own for f32, own in step), 2),
                "prefill_us_per_frame": round(statistics.median(own for _, own in frame), 2),
                "prefill_speedup": round(statistics.median(f32 / own for f32, own in frame), 2),
            }), flush=True)


main()
