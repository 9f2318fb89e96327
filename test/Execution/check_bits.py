"""Checks the cost of fewer bits on trained models.

Usage: check_bits.py ITERA_COMPILE ITERA_RUN MODELS FOLDER

Perplexity per byte on the first 102,400 bytes of a text, streamed, against
float32: 8 bits at most 0.15 % more; 4 bits at most 1.3 % (Mamba) and 0.9 %
(Mamba-2) without data, half of that with. Sampling noise of these is 0.05 %.
Itera-Lite's logits, of up to 15, may differ by 0.20 (8 bits) and 0.8 (4 bits).
"""

import json
import os
import re
import subprocess
import sys

compiler, runner, models, folder = sys.argv[1:]
os.makedirs(folder, exist_ok=True)
data = os.path.join(models, "..", "data")
failures = []


def compile_model(path, *flags):
    library = os.path.join(folder, "model.so")
    subprocess.run([compiler, path, "-o", library, *flags], check=True, stderr=subprocess.DEVNULL)
    return library


def output_of(*command):
    return subprocess.run([runner, *command], stdout=subprocess.PIPE, text=True).stdout


def perplexity(library):
    return json.loads(output_of(library, "--eval", os.path.join(data, "wikitext2_test.txt"), "--eval-bytes=102400",
                                "--json"))["perplexity_per_byte"]


def check(name, value, bound):
    print(f"{name}: {value:.3f}, at most {bound}")
    if not value <= bound:
        failures.append(name)


for name, data_free in [("wikitext_mamba", 1.3), ("wikitext_mamba2", 0.9)]:
    path = os.path.join(models, name, "prefill64.onnx")
    full = perplexity(compile_model(path))
    for flags, bound in [(["--bits=8"], 0.15), (["--bits=4"], data_free),
                         (["--bits=4", "--calibrate=" + os.path.join(data, "wikitext2_valid.txt")], data_free / 2)]:
        more = 100 * (perplexity(compile_model(path, *flags)) / full - 1)
        check(f"{name} {' '.join(f.split('=')[0] + '=' + os.path.basename(f.split('=')[1]) for f in flags)}, %", more, bound)

lite = os.path.join(models, "itera_lite_micro")
for bits, bound in [(8, 0.20), (4, 0.8)]:
    library = compile_model(lite + ".onnx", f"--bits={bits}")
    text = output_of(library, "--input", lite + ".npz", "--compare", lite + ".npz", "--atol=100")
    check(f"itera_lite_micro --bits={bits}, max", float(re.search(r"max_abs_diff output (\S+)", text).group(1)), bound)
sys.exit("too much: " + "; ".join(failures) if failures else 0)
