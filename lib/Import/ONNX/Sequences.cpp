// SPDX-License-Identifier: Apache-2.0
// Sequences exist while importing only: lists of values, or one tensor stacked
// along its first dimension (what a loop collected).

#include "Common.h"

using namespace mlir;
using namespace itera;
using namespace itera::onnx_import;

static constexpr int64_t kMaxList = 1 << 20;

/// The elements of list input `i`.
static FailureOr<SmallVector<Value>> getList(Node &n, size_t i) {
  const Entry &entry = n.inputs[i];
  if (entry.isAppendOnly)
    return n.error() << "expected the loop to append to its sequence only";
  if (entry.list)
    return *entry.list;
  if (!entry.stacked)
    return n.error() << "expected a sequence as input " << i
                     << ", but got a tensor";
  SmallVector<Value> result;
  for (int64_t k = 0; k < n.b.shapeOf(entry.stacked)[0]; ++k)
    result.push_back(n.b.selectDim(entry.stacked, 0, k));
  return result;
}

static LogicalResult expectTensor(Node &n, size_t i) {
  if (n.inputs[i].value)
    return success();
  return n.error() << "expected a tensor as input " << i
                   << ", but got a sequence";
}

/// A position in a list of `size` entries, from input `i`.
static FailureOr<int64_t> position(Node &n, size_t i, int64_t size) {
  if (failed(expectTensor(n, i)))
    return failure();
  FailureOr<Shape> given = n.ints(i, "the position");
  if (failed(given))
    return failure();
  if (given->size() != 1 || given->front() < -size || given->front() >= size)
    return n.error() << "expected a position in a sequence of " << size;
  return given->front() < 0 ? given->front() + size : given->front();
}

static LogicalResult sequenceEmpty(Node &n) {
  n.outList({});
  return success();
}

static LogicalResult sequenceConstruct(Node &n) {
  SmallVector<Value> values;
  for (size_t i = 0; i < n.numInputs(); ++i) {
    if (!n.has(i) || failed(expectTensor(n, i)))
      return n.error() << "expected a tensor as input " << i;
    values.push_back(n.in(i));
  }
  n.outList(values);
  return success();
}

static LogicalResult sequenceInsert(Node &n) {
  if (failed(expectTensor(n, 1)))
    return failure();
  const Entry &entry = n.inputs[0];
  if (entry.isAppendOnly) {
    if (n.has(2) || !entry.list->empty())
      return n.error() << "expected the loop to append one entry per step";
    n.outList({n.in(1)});
    n.outputs.back().isAppendOnly = true;
    return success();
  }
  FailureOr<SmallVector<Value>> values = getList(n, 0);
  if (failed(values))
    return failure();
  int64_t at = values->size();
  if (at >= kMaxList)
    return n.error() << "expected a sequence of less than " << kMaxList;
  if (n.has(2)) {
    FailureOr<int64_t> given = position(n, 2, at + 1);
    if (failed(given))
      return failure();
    at = *given;
  }
  values->insert(values->begin() + at, n.in(1));
  n.outList(*values);
  return success();
}

static LogicalResult sequenceErase(Node &n) {
  FailureOr<SmallVector<Value>> values = getList(n, 0);
  if (failed(values))
    return failure();
  int64_t at = static_cast<int64_t>(values->size()) - 1;
  if (n.has(1)) {
    FailureOr<int64_t> given = position(n, 1, values->size());
    if (failed(given))
      return failure();
    at = *given;
  }
  if (at < 0)
    return n.error() << "expected a sequence that is not empty";
  values->erase(values->begin() + at);
  n.outList(*values);
  return success();
}

static LogicalResult sequenceAt(Node &n) {
  FailureOr<SmallVector<Value>> values = getList(n, 0);
  if (failed(values))
    return failure();
  FailureOr<int64_t> at = position(n, 1, values->size());
  if (failed(at))
    return failure();
  n.out((*values)[*at]);
  return success();
}

static LogicalResult sequenceLength(Node &n) {
  FailureOr<SmallVector<Value>> values = getList(n, 0);
  if (failed(values))
    return failure();
  n.out(n.b.scalar(values->size()));
  return success();
}

static LogicalResult splitToSequence(Node &n) {
  if (failed(expectTensor(n, 0)))
    return failure();
  Value x = n.in(0);
  FailureOr<int64_t> axis = n.axis(n.intAttr("axis", 0), n.b.rankOf(x));
  if (failed(axis))
    return failure();
  int64_t size = n.b.shapeOf(x)[*axis];
  Shape sizes;
  bool keep = true;
  if (!n.has(1)) {
    sizes.assign(size, 1);
    keep = n.intAttr("keepdims", 1);
  } else {
    if (failed(expectTensor(n, 1)))
      return failure();
    FailureOr<Shape> given = n.ints(1, "the split");
    if (failed(given))
      return failure();
    sizes = *given;
    if (n.b.rankOf(n.in(1)) == 0) {
      int64_t chunk = sizes[0];
      sizes.clear();
      if (chunk < 1)
        return n.error() << "expected parts of a positive size";
      for (int64_t left = size; left > 0; left -= chunk)
        sizes.push_back(std::min(chunk, left));
    }
  }
  SmallVector<Value> parts;
  int64_t begin = 0;
  for (int64_t part : sizes) {
    if (part < 0 || part > size - begin)
      return n.error() << "expected parts that add up to " << size;
    parts.push_back(keep ? n.b.sliceDim(x, *axis, begin, part)
                         : n.b.selectDim(x, *axis, begin));
    begin += part;
  }
  if (begin != size)
    return n.mismatch(size, begin) << "expected parts that add up to " << size
                                   << ", but got " << begin;
  n.outList(parts);
  return success();
}

static LogicalResult concatFromSequence(Node &n) {
  const onnx::AttributeProto *given = n.attribute("axis");
  bool isNew = n.intAttr("new_axis", 0);
  Value stacked = n.inputs[0].stacked;
  int64_t axisGiven = given ? given->i() : 0;
  // What a loop stacked needs its dimensions moved only.
  if (stacked && isNew) {
    int64_t rank = n.b.rankOf(stacked);
    FailureOr<int64_t> axis = n.axis(axisGiven, rank);
    if (failed(axis))
      return failure();
    Shape perm;
    for (int64_t i = 1; i < rank; ++i)
      perm.push_back(i);
    perm.insert(perm.begin() + *axis, 0);
    n.out(n.b.transpose(stacked, perm));
    return success();
  }
  FailureOr<SmallVector<Value>> values = getList(n, 0);
  if (failed(values))
    return failure();
  if (values->empty())
    return n.error() << "expected a sequence that is not empty";
  Dims first = n.b.shapeOf(values->front());
  FailureOr<int64_t> axis = n.axis(axisGiven, first.size() + (isNew ? 1 : 0));
  if (failed(axis))
    return failure();
  for (Value &value : *values) {
    Shape own(n.b.shapeOf(value)), wanted(first);
    if (!isNew && own.size() == wanted.size())
      own[*axis] = wanted[*axis] = 0;
    if (own != wanted ||
        n.b.elementOf(value) != n.b.elementOf(values->front()))
      return n.shapeMismatch(own, wanted)
             << "expected entries of one type, but got "
             << values->front().getType() << " and " << value.getType();
    if (isNew)
      value = n.b.unsqueeze(value, {*axis});
  }
  Value result = n.b.concat(*values, *axis);
  if (failed(n.checkShape(n.b.shapeOf(result))))
    return failure();
  n.out(result);
  return success();
}

ArrayRef<OpEntry> onnx_import::sequenceOps() {
  constexpr int kNew = kNewestOpset;
  static const OpEntry kOps[] = {
      {"", "ConcatFromSequence", 11, kNew, 1, 1, concatFromSequence},
      {"", "SequenceAt", 11, kNew, 2, 2, sequenceAt, false, "constant position"},
      {"", "SequenceConstruct", 11, kNew, 1, kUnlimited, sequenceConstruct},
      {"", "SequenceEmpty", 11, kNew, 0, 0, sequenceEmpty},
      {"", "SequenceErase", 11, kNew, 1, 2, sequenceErase, false,
       "constant position"},
      {"", "SequenceInsert", 11, kNew, 2, 3, sequenceInsert, false,
       "constant position"},
      {"", "SequenceLength", 11, kNew, 1, 1, sequenceLength},
      {"", "SplitToSequence", 11, kNew, 1, 2, splitToSequence, false,
       "constant split"},
  };
  return kOps;
}
