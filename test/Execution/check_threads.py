"""Runs many sessions of one compiled model on several threads, with the runtime
compiled for ThreadSanitizer, and compares them with one after the other. Then
again with a runtime that shares something: which has to be reported.

Usage: check_threads.py ITERA_COMPILE CLANG MODEL.onnx RUNTIME_FOLDER

Compiled code itself is not instrumented: what it shares would show in results.
"""

import os
import subprocess
import sys
import tempfile

COMPILER, CLANG, MODEL, RUNTIME = sys.argv[1:]
HOST = os.path.join(os.path.dirname(os.path.abspath(__file__)), "Inputs", "threads.c")
SANITIZE = ["-fsanitize=thread", "-g", "-O1"]


def build(folder, name, sources):
    """The host, with these sources of the runtime and the model's code."""
    program = os.path.join(folder, name)
    subprocess.run([CLANG, *SANITIZE, "-std=c11", "-I" + os.path.join(RUNTIME, "include"), "-I" + os.path.join(RUNTIME, "src"),
                    HOST, *sources, os.path.join(folder, "model.o"), "-o", program, "-lpthread"], check=True)
    return program


def run(program):
    return subprocess.run([program], capture_output=True, text=True, timeout=500,
                          env={**os.environ, "TSAN_OPTIONS": "halt_on_error=0 exitcode=66"})


def main():
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([COMPILER, MODEL, "--emit=object", "-o", os.path.join(folder, "model.o"), "--stream=required",
                        "--chunk=16"], check=True)
        names = [n for n in sorted(os.listdir(os.path.join(RUNTIME, "src"))) if n.endswith(".c")]
        # The C library has the functions of memory.c, and ThreadSanitizer knows them.
        sources = {n: os.path.join(RUNTIME, "src", n) for n in names if n != "memory.c"}
        done = run(build(folder, "right", sources.values()))
        print(done.stdout.strip())
        if done.returncode:
            sys.exit(f"exit code {done.returncode}\n{done.stderr[-3000:]}")

        with open(sources["feed.c"]) as file:
            text = file.read()
        if "session->clock" not in text:
            sys.exit("feed.c has changed: it has no clock that could be shared")
        broken = os.path.join(folder, "feed.c")
        with open(broken, "w") as file:
            file.write("#include <stdint.h>\nstatic int64_t shared_clock[3];\n" +
                       text.replace("session->clock", "shared_clock"))
        done = run(build(folder, "broken", {**sources, "feed.c": broken}.values()))
        if "WARNING: ThreadSanitizer: data race" not in done.stderr:
            sys.exit(f"a clock that all sessions share was not reported (exit code {done.returncode})\n{done.stderr[-3000:]}")
        print("a shared clock is reported")


main()
