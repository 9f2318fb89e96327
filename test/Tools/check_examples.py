#!/usr/bin/env python3
"""The examples of the reference pages are run: every ```mlir block in the
description of an op or a pass.

Every op has an example in which it occurs. It parses, verifies, survives being
printed and parsed again, and compiles to what the plain lowering computes.

Every pass has two, before and after, and makes of the first exactly the second.
A first line `// itera-opt FLAGS` gives its options. A pass whose result is too
long to be read has ```text blocks instead.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import textwrap

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
# These have a meaning only together with what lies outside of a function.
NOT_COMPILED = {"ssm.kernel", "ssm.weight"}


class Failed(Exception):
    pass


def run(command, text=None):
    done = subprocess.run([str(part) for part in command], input=text, text=True,
                          capture_output=True, timeout=300)
    if done.returncode:
        raise Failed(f"{' '.join(map(str, command[1:]))}: exit code {done.returncode}\n"
                     f"{done.stderr}{text or ''}")
    return done.stdout


def definitions(tblgen, includes):
    """(ops, passes): records of all .td files by the name of the op or flag."""
    ops, passes = {}, {}
    for td in sorted((ROOT / "include").rglob("*.td")):
        records = json.loads(run([tblgen, "--dump-json", "-I", ROOT / "include",
                                  "-I", includes, td]))
        classes = records["!instanceof"]
        for name in classes.get("Op", []):
            op = records[name]
            dialect = records[op["opDialect"]["def"]]["name"]
            ops[f"{dialect}.{op['opName']}"] = op["description"]
        for name in classes.get("PassBase", []):
            passes[records[name]["argument"]] = records[name]["description"]
    return ops, passes


def blocks(description, language="mlir"):
    found = re.findall(rf"^ *```{language}\n(.*?)^ *```$", description, re.S | re.M)
    return [textwrap.dedent(block) for block in found]


def as_model(example):
    """The example's function as @forward, with a name for every argument."""
    head, brace, body = re.sub(r"@\w+", "@forward", example, count=1).partition("{\n")
    head = re.sub(r"%(\w+): (tensor<[^>]*>)", r'%\1: \2 {ssm.name = "\1"}', head)
    return head + brace + body


def check_op(tools, name, description):
    examples = blocks(description)
    if not any(re.search(rf"\b{re.escape(name)}\b", text) for text in examples):
        raise Failed("expected an example in which the op occurs")
    for example in examples:
        text = run([tools.itera_opt], example)
        generic = run([tools.itera_opt, "--mlir-print-op-generic"], example)
        for other in text, generic:
            if run([tools.itera_opt], other) != text:
                raise Failed(f"does not survive a round trip:\n{other}")
        if name in NOT_COMPILED:
            continue
        with tempfile.TemporaryDirectory() as folder:
            model = pathlib.Path(folder, "example.mlir")
            model.write_text(as_model(example))
            run([tools.itera_compile, model, "--verify", "--jobs=1", "--cache-dir=",
                 "-o", model.with_suffix(".so")])


def check_pass(tools, flag, description):
    examples = blocks(description)
    if not examples and blocks(description, "text"):
        return
    if len(examples) != 2:
        raise Failed(f"expected two examples, before and after, but got {len(examples)}")
    before, after = examples
    given = re.match(r"// itera-opt (.*)", before)
    flags = given[1].split() if given else [f"--{flag}"]
    if not any(part.partition("=")[0] == f"--{flag}" for part in flags):
        raise Failed(f"expected the example to run --{flag}")
    result, expected = run([tools.itera_opt, *flags], before), run([tools.itera_opt], after)
    if result == run([tools.itera_opt], before):
        raise Failed("the pass leaves its example as it was")
    if result != expected:
        raise Failed(f"the pass makes\n{result}but the description says\n{expected}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("itera_opt")
    parser.add_argument("itera_compile")
    parser.add_argument("llvm_tblgen")
    parser.add_argument("llvm_include")
    tools = parser.parse_args()
    ops, passes = definitions(tools.llvm_tblgen, tools.llvm_include)
    failures = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        pending = [(name, pool.submit(check, tools, name, description))
                   for check, records in ((check_op, ops), (check_pass, passes))
                   for name, description in records.items()]
        for name, future in pending:
            try:
                future.result()
            except Failed as error:
                failures += 1
                print(f"{name}: {error}")
    print(f"{len(ops)} ops, {len(passes)} passes, {failures} failures")
    return 1 if failures or not ops or not passes else 0


if __name__ == "__main__":
    sys.exit(main())
