#!/usr/bin/env python3
"""Writes lib/Run/Tokenizer/UnicodeRanges.inc: which characters are letters,
marks, numbers or punctuation, as Python's own Unicode data has it.

Usage: make_unicode_ranges.py > lib/Run/Tokenizer/UnicodeRanges.inc
"""

import sys
import unicodedata

NAMES = {"L": "Letter", "M": "Mark", "P": "Punctuation", "Nd": "Number", "Nl": "Number", "No": "OtherNumber"}


def name(code):
    category = unicodedata.category(chr(code))
    return NAMES.get(category) or NAMES.get(category[0])


ranges = []
for code in range(sys.maxunicode + 1):
    kind = name(code)
    if ranges and kind == ranges[-1][2] and ranges[-1][1] == code - 1:
        ranges[-1][1] = code
    elif kind:
        ranges.append([code, code, kind])

print("// SPDX-License-Identifier: Apache-2.0")
print(f"// By scripts/make_unicode_ranges.py out of Unicode {unicodedata.unidata_version}.")
print("// clang-format off")
line = ""
for first, last, kind in ranges:
    entry = f"{{{first:#x}, {last:#x}, {kind}}},"
    if len(line) + len(entry) > 79:
        print(line.rstrip())
        line = ""
    line += entry + " "
print(line.rstrip())
