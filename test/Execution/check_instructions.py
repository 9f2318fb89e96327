# SPDX-License-Identifier: Apache-2.0
"""Looks into the machine code of a model's quantised linears.

For each CPU and number of bits: every such kernel must be there, without a warning,
and hold the instructions that its sums are meant for; the loops around these must do
nothing one element at a time and keep their sums in registers. With --print, a line
for each loop says what it does.

    check_instructions.py MODEL itera-compile OBJDUMP [--print] [CPU...]
"""

import collections
import math
import os
import re
import subprocess
import sys
import tempfile

# Target, CPU, then what kernels of 4 and of 8 bits must hold, and if that is not the
# same, those of many tokens.
TARGETS = [
    ("x86_64", "znver4", ["vpdpbusd"], ["vpdpbusd"]),
    ("x86_64", "icelake-server", ["vpdpbusd"], ["vpdpbusd"]),
    ("x86_64", "cascadelake", ["vpdpbusd"], ["vpdpbusd"]),
    ("x86_64", "alderlake", ["vpdpbusd"], ["vpdpbusd"]),
    ("x86_64", "x86-64-v4", ["vpmaddubsw"], ["vpmaddwd"]),
    ("x86_64", "x86-64-v3", ["vpmaddubsw"], ["vpmaddwd"]),
    ("x86_64", "x86-64-v2", ["pmaddubsw"], ["pmaddwd"]),
    ("x86_64", "x86-64", ["pmaddwd"], ["pmaddwd"]),
    ("aarch64", "cortex-a53", ["smull", "smlal"], ["smull", "smlal", "sadalp"]),
    ("aarch64", "cortex-a76", ["sdot"], ["sdot"]),
    ("rpi5", "", ["sdot"], ["sdot"]),
    ("aarch64", "neoverse-v1", ["sdot"], ["sdot"], ["smmla"]),
    ("aarch64", "apple-m2", ["sdot"], ["sdot"], ["smmla"]),
]

# Sums over fewer elements have no loop of their own, but that of the rows.
LEAST_DEPTH = 64


class Instruction:
    def __init__(self, address, text):
        self.address = address
        name, _, operands = text.removeprefix("{vex}").lstrip().partition("\t")
        operands = operands.split("//")[0].split(" # ")[0].strip()
        # "sadalp.4s", but "b.ne"
        name = name.strip()
        self.name = name if name.startswith("b.") else name.split(".")[0]
        self.operands = operands

    def jump(self):
        found = re.search(r"(0x[0-9a-f]+) <", self.operands)
        branches = re.match(r"(j|b$|b\.|cbn?z|tbn?z)", self.name)
        return int(found[1], 16) if found and branches else None

    def is_vector(self):
        return re.search(r"%[xyz]mm|\bv[0-9]+\.|\bq[0-9]+\b", self.operands)

    def is_spill(self):
        """Vectors in memory at a constant place of the stack."""
        if not self.is_vector():
            return False
        if re.search(r"\[sp(, #0x[0-9a-f]+)?\]", self.operands):
            return True
        return re.search(r"\(%r[sb]p\)", self.operands)

    def is_scalar(self):
        """Products or sums of floats, or elements taken out of vectors."""
        return re.fullmatch(
            r"imul\w|madd|smaddl|v?(mul|add|pextr|pinsr)(ss|b|w|d)|vfm\w+ss|[us]mov",
            self.name,
        ) or (self.name in ("fmadd", "fmul", "fadd") and not self.is_vector())


def functions(text):
    result, current = {}, None
    for line in text.splitlines():
        head = re.match(r"([0-9a-f]+) <(\w+)>:$", line)
        if head:
            current = result.setdefault(head[2], [])
            continue
        body = re.match(r"\s*([0-9a-f]+):\s+(.*)$", line)
        if body and current is not None:
            current.append(Instruction(int(body[1], 16), body[2]))
    return result


def inner_loops(code):
    """The instructions of each loop that holds no other."""
    spans = {(i.jump(), i.address) for i in code if i.jump() is not None}
    spans = [s for s in spans if s[0] <= s[1]]
    inner = [
        s
        for s in spans
        if not any(o != s and s[0] <= o[0] and o[1] <= s[1] for o in spans)
    ]
    return [[i for i in code if a <= i.address <= b] for a, b in sorted(inner)]


def quantised_kernels(mlir):
    """name -> (bits, tokens, depth) of the linears of integer weights."""
    kernels, name = {}, None
    for line in mlir.splitlines():
        head = re.search(r"func\.func @(\w+)", line)
        name = head[1] if head else name
        linear = re.search(r"ssm\.linear .*packed i([48]) : tensor<([0-9x]+)xf32>", line)
        if linear:
            *leading, depth = [int(d) for d in linear[2].split("x")]
            kernels[name] = (int(linear[1]), math.prod(leading), depth)
    return kernels


def check(model, compiler, objdump, bits, target, cpu, expected):
    """A list of errors and one of what the loops do."""
    label = f"{cpu or target} --bits={bits}"
    command = [compiler, model, f"--bits={bits}", f"--target={target}"]
    command += [f"--mcpu={cpu}"] if cpu else []

    def run(*arguments):
        done = subprocess.run([*command, *arguments], capture_output=True, text=True)
        if done.returncode or done.stderr:
            sys.exit(f"{label}: exit code {done.returncode}: {done.stderr[:1000]}")
        return done.stdout

    kernels = quantised_kernels(run("--stop-after=fuse", "-o", "-"))
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.o")
        run("--emit=object", "-o", path)
        code = functions(
            subprocess.run(
                [objdump, "-d", "--no-show-raw-insn", path],
                capture_output=True,
                text=True,
                check=True,
            ).stdout
        )
    errors, report = [], []
    for many in (False, True):
        if not any((tokens > 1) == many for _, tokens, _ in kernels.values()):
            errors.append(f"{label}: no kernel of {'many' if many else 'one'} tokens")
    for name, (width, tokens, depth) in sorted(kernels.items()):
        kernel = f"{label}: {name} (int{width}, {tokens} tokens)"
        if name not in code:
            errors.append(f"{kernel} has no code")
            continue
        if depth < LEAST_DEPTH:
            continue
        wanted = expected[(width, tokens > 1)]
        loops = [
            loop
            for loop in inner_loops(code[name])
            if any(i.name == wanted[0] for i in loop)
            # The sum of the input's integers, by a product with ones.
            and not any(i.name == "addv" for i in loop)
        ]
        present = {i.name for loop in loops for i in loop}
        errors += [f"{kernel} lacks {w}" for w in wanted if w not in present]
        for loop in loops:
            counts = collections.Counter(i.name for i in loop)
            spills = sum(1 for i in loop if i.is_spill())
            scalars = sum(1 for i in loop if i.is_scalar())
            most = ", ".join(f"{n} {k}" for k, n in counts.most_common(8))
            line = f"{kernel}: {len(loop)} instructions, {spills} spills, {most}"
            if line not in report:
                report.append(line)
            # A sum or a constant too many is not worth smaller tiles.
            if 15 * spills > len(loop) or scalars:
                errors.append(f"{line}; {scalars} scalar")
    return errors, report


def main():
    arguments = [a for a in sys.argv[1:] if a != "--print"]
    model, compiler, objdump, *chosen = arguments
    failed = False
    for target, cpu, *instructions in TARGETS:
        if chosen and (cpu or target) not in chosen:
            continue
        four, eight, *many = instructions
        expected = {}
        for width, wanted in ((4, four), (8, eight)):
            expected[(width, False)] = wanted
            expected[(width, True)] = many[0] if many else wanted
        for bits in (4, 8):
            errors, report = check(
                model, compiler, objdump, bits, target, cpu, expected
            )
            if "--print" in sys.argv:
                print("\n".join(report))
            for error in errors:
                print("error:", error)
            failed |= bool(errors)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
