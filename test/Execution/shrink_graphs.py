"""Smaller versions of a recipe, to find what a failure needs."""

import copy

from random_graphs import Input, Recipe


def without_dead(recipe):
    """The same recipe without values that no output needs; inputs stay."""
    needed = {v for v, _ in recipe.outputs}
    for i in range(len(recipe.values) - 1, -1, -1):
        if i in needed:
            needed.update(recipe.values[i][1])
    streams = [i for i in recipe.inputs if recipe.values[i][0].layout != "BC"]
    needed.update(streams[:1])
    new, result = {}, Recipe(recipe.batch)
    for i, (op, operands) in enumerate(recipe.values):
        if i in needed:
            new[i] = result.add(op, *[new[o] for o in operands])
    result.outputs = [(new[v], layout) for v, layout in recipe.outputs]
    return result


def valid(recipe):
    try:
        recipe.channels()
        recipe.onnx(next(t for t in range(16, 120) if recipe.is_example(t)))
        recipe.compute(recipe.random_inputs(__import__("numpy").random.default_rng(0), 60))
    except Exception:
        return False
    return True


def smaller(recipe):
    def tried(change):
        candidate = copy.copy(recipe)
        candidate.values, candidate.outputs = list(recipe.values), list(recipe.outputs)
        change(candidate)
        candidate = without_dead(candidate)
        return candidate if valid(candidate) else None

    def drop_output(k):
        def change(r):
            del r.outputs[k]
        return change

    def bypass(i, operand):
        def change(r):
            r.values = [(op, tuple(operand if o == i else o for o in operands)) for op, operands in r.values]
            r.outputs = [(operand if v == i else v, layout) for v, layout in r.outputs]
        return change

    def fewer(i, k):
        def change(r):
            op, operands = r.values[i]
            r.values[i] = (op, operands[:k] + operands[k + 1 :])
        return change

    def one_row(r):
        r.batch = 1

    def split_chain(i, k):
        def change(r):
            op, operands = r.values[i]
            r.values[i] = (op.ops[k], operands)
        return change

    def straight(r):
        r.outputs = [(v, "BC" if layout == "BC" else "BCT") for v, layout in r.outputs]

    changes = [drop_output(k) for k in range(len(recipe.outputs))] if len(recipe.outputs) > 1 else []
    for i in range(len(recipe.values) - 1, -1, -1):
        op, operands = recipe.values[i]
        if isinstance(op, Input):
            continue
        changes += [bypass(i, o) for o in operands]
        if len(operands) > 2:
            changes += [fewer(i, k) for k in range(len(operands))]
        if hasattr(op, "ops"):
            changes += [split_chain(i, k) for k in range(len(op.ops))]
    if recipe.batch > 1:
        changes.append(one_row)
    if any(layout == "BTC" for _, layout in recipe.outputs):
        changes.append(straight)
    for change in changes:
        candidate = tried(change)
        if candidate:
            yield candidate
