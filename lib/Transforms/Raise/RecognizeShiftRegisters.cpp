// SPDX-License-Identifier: Apache-2.0
// Names the windows that a step carries by hand.
//
// Problem: written for one step, a causal convolution keeps its last frames in
// a state: it drops the oldest one, puts the new one behind, and sums over all
// with the taps. As a recurrence it would hold up all that follows.
// Idea: along the dimension that is shifted, every value in the body is a list
// of frames, each known by its age in steps; x has age 0. If the next state
// holds the ages n-1, ..., 0, the state never holds anything but frames of x,
// and what reads a list is a function of these.
// Invariant: a list of ages is exactly what the value holds, whatever x is.

#include "Match.h"
#include "itera/Transforms/Raise/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/IR/IRMapping.h"

namespace itera {
#define GEN_PASS_DEF_RECOGNIZESHIFTREGISTERSPASS
#include "itera/Transforms/Raise/Passes.h.inc"
} // namespace itera

using namespace mlir;
using namespace itera;
using namespace itera::raise;

namespace {

/// A value that is a list of frames along one of its dimensions.
struct Window {
  int64_t dim;
  SmallVector<int64_t> ages;
};

/// What reads a window: y[b,d] = sum_k taps[d,k] * x[b,d] of age K-1-k, or a
/// causal_conv1d of one frame whose past is a window.
struct Reader {
  Value y;
  Value taps; // [D, K]
  ssm::CausalConv1dOp conv;
};

/// One state of a scan that is a shift register.
class ShiftRegister {
public:
  ShiftRegister(ssm::ScanOp scan, unsigned state, int64_t dim)
      : scan(scan), body(&scan.getBody().front()), state(state),
        argument(scan.getStateArguments()[state]), dim(dim),
        depth(typeOf(argument).getDimSize(dim)) {}

  /// Whether it is one, and every reader is a convolution.
  bool match();
  /// Takes the state out of the scan.
  void rewrite();

private:
  bool isFrame(Value value) const;
  std::optional<Window> evaluate(Operation *op);
  std::optional<Reader> matchReader(Operation *op);
  bool matchTaps(Value value, int64_t windowDim, int64_t count, Reader &reader);
  Value stackFrames(OpBuilder &b);

  ssm::ScanOp scan;
  Block *body;
  unsigned state;
  BlockArgument argument;
  int64_t dim, depth;
  Value x;
  DenseMap<Value, Window> windows;
  DenseSet<Value> dependents;
  SmallVector<Reader> readers;
};

} // namespace

/// Whether all is static and nothing but dimension `dim` is cut.
template <typename OpT>
static bool cutsOnly(OpT op, ArrayRef<int64_t> shape, int64_t dim) {
  if (!op.getOffsets().empty() || !op.getSizes().empty() ||
      !op.getStrides().empty() || op.getDroppedDims().any())
    return false;
  for (auto [i, size] : llvm::enumerate(shape)) {
    if (op.getStaticStride(i) != 1)
      return false;
    if (int64_t(i) != dim &&
        (op.getStaticOffset(i) != 0 || op.getStaticSize(i) != size))
      return false;
  }
  return true;
}

/// A frame of x: one step of the register's dimension, independent of it.
bool ShiftRegister::isFrame(Value value) const {
  if (dependents.contains(value) || (x && x != value))
    return false;
  SmallVector<int64_t> shape(shapeOf(argument));
  shape[dim] = 1;
  return shapeOf(value) == ArrayRef(shape);
}

std::optional<Window> ShiftRegister::evaluate(Operation *op) {
  auto windowOf = [&](Value value) -> const Window * {
    auto it = windows.find(value);
    return it == windows.end() ? nullptr : &it->second;
  };
  if (auto slice = dyn_cast<tensor::ExtractSliceOp>(op)) {
    const Window *in = windowOf(slice.getSource());
    if (!in || !cutsOnly(slice, shapeOf(slice.getSource()), in->dim))
      return std::nullopt;
    ArrayRef<int64_t> ages(in->ages);
    return Window{in->dim,
                  SmallVector<int64_t>(ages.slice(slice.getStaticOffset(in->dim),
                                                  slice.getStaticSize(in->dim)))};
  }
  if (auto insert = dyn_cast<tensor::InsertSliceOp>(op)) {
    const Window *in = windowOf(insert.getDest());
    if (!in || in->dim != dim || !isFrame(insert.getSource()) ||
        !cutsOnly(insert, shapeOf(insert.getDest()), dim))
      return std::nullopt;
    Window out = *in;
    out.ages[insert.getStaticOffset(dim)] = 0;
    x = insert.getSource();
    return out;
  }
  if (auto concat = dyn_cast<tensor::ConcatOp>(op)) {
    Window out{int64_t(concat.getDim()), {}};
    for (Value part : concat.getInputs()) {
      const Window *in = windowOf(part);
      if (in && in->dim == out.dim) {
        llvm::append_range(out.ages, in->ages);
      } else if (!in && out.dim == dim && isFrame(part)) {
        out.ages.push_back(0);
        x = part;
      } else {
        return std::nullopt;
      }
    }
    return out;
  }
  if (auto transpose = dyn_cast<linalg::TransposeOp>(op)) {
    const Window *in = windowOf(transpose.getInput());
    if (!in)
      return std::nullopt;
    Window out = *in;
    for (auto [to, from] : llvm::enumerate(transpose.getPermutation()))
      if (from == in->dim)
        out.dim = to;
    return out;
  }
  std::optional<Window> same;
  if (isa<arith::AddFOp>(op))
    (void)matchCommutative<arith::AddFOp>(op->getResult(0), [&](Value a, Value b) {
      const Window *in = windowOf(a);
      if (!in || !isZero(b))
        return false;
      same = *in;
      return true;
    });
  return same;
}

/// taps[d,k] of a factor with the layout of the window.
bool ShiftRegister::matchTaps(Value value, int64_t windowDim, int64_t count,
                              Reader &reader) {
  if (dependents.contains(value) || value.getParentBlock() == body)
    return false;
  OpBuilder b(scan);
  Value taps = value;
  int64_t batch = shapeOf(value)[0];
  if (batch > 1) {
    auto broadcast = value.getDefiningOp<linalg::BroadcastOp>();
    if (!broadcast || broadcast.getDimensions() != ArrayRef<int64_t>{0})
      return false;
    taps = broadcast.getInput();
  } else {
    taps = reshape(b, scan.getLoc(), taps, shapeOf(taps).drop_front());
  }
  if (windowDim == 1)
    taps = permute(b, scan.getLoc(), taps, {1, 0});
  reader.taps = taps;
  return shapeOf(taps)[1] == count;
}

/// K-1, ..., 1, and 0 if `current`.
static bool endsNow(ArrayRef<int64_t> ages, bool current) {
  for (auto [i, age] : llvm::enumerate(ages))
    if (age != int64_t(ages.size()) - int64_t(i) - (current ? 1 : 0))
      return false;
  return !ages.empty();
}

/// Whether two frames are the same elements: they may differ in dimensions of
/// size 1.
static bool isSameFrame(Value a, Value b) {
  auto root = [](Value value) {
    // The value, and how many of its dimensions larger than 1 are in front of
    // the time that a scan took out.
    std::pair<Value, int64_t> result{value, -1};
    auto real = [](ArrayRef<int64_t> shape) {
      return llvm::to_vector(
          llvm::make_filter_range(shape, [](int64_t n) { return n != 1; }));
    };
    while (true) {
      Value &current = result.first;
      Operation *op = current.getDefiningOp();
      if (isa_and_nonnull<tensor::ExpandShapeOp, tensor::CollapseShapeOp>(op) &&
          real(shapeOf(op->getOperand(0))) == real(shapeOf(current))) {
        current = op->getOperand(0);
        continue;
      }
      auto argument = dyn_cast<BlockArgument>(current);
      auto scan = argument ? dyn_cast<ssm::ScanOp>(
                                 argument.getOwner()->getParentOp())
                           : ssm::ScanOp();
      if (!scan || argument.getArgNumber() < scan.getInits().size())
        return result;
      unsigned k = argument.getArgNumber() - scan.getInits().size();
      current = scan.getSequences()[k];
      result.second =
          real(shapeOf(current).take_front(scan.getSequenceDims()[k])).size();
    }
  };
  return root(a) == root(b);
}

std::optional<Reader> ShiftRegister::matchReader(Operation *op) {
  Reader reader;
  if (auto conv = dyn_cast<ssm::CausalConv1dOp>(op)) {
    auto past = windows.find(conv.getPast());
    if (!conv.getPast() || past == windows.end() || past->second.dim != 1 ||
        !endsNow(past->second.ages, false) || shapeOf(conv.getX())[1] != 1 ||
        dependents.contains(conv.getX()) || !isSameFrame(conv.getX(), x) ||
        conv.getWeight().getParentBlock() == body ||
        (conv.getBias() && conv.getBias().getParentBlock() == body))
      return std::nullopt;
    reader.conv = conv;
    reader.taps = conv.getWeight();
    reader.y = conv.getY();
    return reader;
  }
  // The sum of products with the taps.
  if (!isa<arith::MulFOp>(op) || !op->hasOneUse())
    return std::nullopt;
  bool matched = matchCommutative<arith::MulFOp>(
      op->getResult(0), [&](Value a, Value b) {
        auto window = windows.find(a);
        if (window == windows.end() || windows.contains(b) ||
            !endsNow(window->second.ages, true))
          return false;
        auto reduce = dyn_cast<linalg::ReduceOp>(*op->user_begin());
        if (!reduce || reduce.getNumResults() != 1 ||
            matchSum(reduce.getResult(0), {window->second.dim}) !=
                op->getResult(0))
          return false;
        reader.y = reduce.getResult(0);
        return matchTaps(b, window->second.dim, window->second.ages.size(),
                         reader);
      });
  return matched ? std::optional(reader) : std::nullopt;
}

bool ShiftRegister::match() {
  RankedTensorType type = typeOf(argument);
  if (type.getRank() != 3 || depth < 1 || !type.getElementType().isF32() ||
      scan.getReverse())
    return false;
  Window all{dim, {}};
  for (int64_t age = depth; age >= 1; --age)
    all.ages.push_back(age);
  windows[argument] = all;
  dependents.insert(argument);
  SmallVector<Operation *> rest;
  for (Operation &op : body->without_terminator()) {
    if (llvm::none_of(op.getOperands(),
                      [&](Value v) { return dependents.contains(v); }))
      continue;
    if (op.getNumRegions() > 0 && !isa<linalg::LinalgOp>(op))
      return false;
    for (Value result : op.getResults())
      dependents.insert(result);
    if (op.getNumResults() == 1)
      if (std::optional<Window> window = evaluate(&op)) {
        windows[op.getResult(0)] = *window;
        continue;
      }
    rest.push_back(&op);
  }
  Operation *yield = body->getTerminator();
  auto next = windows.find(yield->getOperand(state));
  if (!x || next == windows.end() || next->second.dim != dim ||
      int64_t(next->second.ages.size()) != depth ||
      !endsNow(next->second.ages, true))
    return false;
  for (auto [i, value] : llvm::enumerate(yield->getOperands()))
    if (i != state && windows.contains(value))
      return false;
  for (Operation *op : rest) {
    if (llvm::none_of(op->getOperands(),
                      [&](Value v) { return windows.contains(v); }))
      continue;
    std::optional<Reader> reader = matchReader(op);
    if (!reader)
      return false;
    readers.push_back(*reader);
  }
  return true;
}

/// x of every step, [B, T, D].
Value ShiftRegister::stackFrames(OpBuilder &b) {
  Location loc = scan.getLoc();
  SmallVector<int64_t> shape = {int64_t(scan.getLength())};
  llvm::append_range(shape, shapeOf(x));
  auto stacked = ssm::ScanOp::create(
      b, loc, TypeRange{typeOf(x).clone(shape)}, ValueRange(),
      scan.getSequences(), b.getI64IntegerAttr(scan.getLength()),
      scan.getSequenceDimsAttr(), b.getDenseI64ArrayAttr({0}),
      /*reverse=*/nullptr);
  Block *copy = new Block();
  stacked.getBody().push_back(copy);
  IRMapping mapping;
  for (Value slice : scan.getSliceArguments())
    mapping.map(slice, copy->addArgument(slice.getType(), loc));
  OpBuilder inner = OpBuilder::atBlockEnd(copy);
  for (Operation &op : body->without_terminator())
    if (llvm::none_of(op.getResults(),
                      [&](Value v) { return dependents.contains(v); }) &&
        llvm::all_of(op.getOperands(), [&](Value v) {
          auto owner = dyn_cast<BlockArgument>(v);
          return !owner || owner.getOwner() != body || mapping.contains(v);
        }))
      inner.clone(op, mapping);
  ssm::YieldOp::create(inner, loc, mapping.lookupOrDefault(x));
  eraseDeadOps(*copy);

  // [T, B, .., D, ..] without the register's dimension; D is the other one.
  shape.erase(shape.begin() + 1 + dim);
  Value flat = reshape(b, loc, stacked.getResult(0), shape);
  return permute(b, loc, flat, {1, 0, 2});
}

void ShiftRegister::rewrite() {
  OpBuilder b(scan);
  Location loc = scan.getLoc();
  Value frames = stackFrames(b);
  // The first state as frames in front, oldest first: [B, n, D].
  Value init = scan.getInits()[state];
  Value before = dim == 1 ? init : permute(b, loc, init, {0, 2, 1});
  auto cut = [&](Value value, int64_t offset, int64_t size) -> Value {
    SmallVector<int64_t> sizes(shapeOf(value)), offsets{0, offset, 0},
        strides{1, 1, 1};
    sizes[1] = size;
    if (sizes == SmallVector<int64_t>(shapeOf(value)))
      return value;
    return tensor::ExtractSliceOp::create(
        b, loc, typeOf(value).clone(sizes), value,
        getAsIndexOpFoldResult(b.getContext(), offsets),
        getAsIndexOpFoldResult(b.getContext(), sizes),
        getAsIndexOpFoldResult(b.getContext(), strides));
  };

  SmallVector<Value> sequences(scan.getSequences());
  SmallVector<int64_t> sequenceDims(scan.getSequenceDims());
  for (Reader &reader : readers) {
    int64_t taps = shapeOf(reader.taps)[1];
    Value past = taps > 1 ? cut(before, depth - (taps - 1), taps - 1) : Value();
    Value bias = reader.conv ? reader.conv.getBias() : Value();
    auto activation =
        reader.conv ? reader.conv.getActivation() : ssm::Activation::none;
    Value all = ssm::CausalConv1dOp::create(b, reader.y.getLoc(),
                                            frames.getType(), frames,
                                            reader.taps, bias, past, activation);
    sequences.push_back(all);
    sequenceDims.push_back(1);
    RankedTensorType type = typeOf(all);
    Value slice = body->addArgument(
        type.clone({type.getDimSize(0), type.getDimSize(2)}), loc);
    OpBuilder inner = OpBuilder::atBlockBegin(body);
    reader.y.replaceAllUsesWith(
        reshape(inner, loc, slice, shapeOf(reader.y)));
  }
  // Also where the first state is out of it: a stream may be shorter.
  Value all =
      tensor::ConcatOp::create(b, loc, 1, ValueRange{before, frames});
  Value last = cut(all, typeOf(all).getDimSize(1) - depth, depth);
  if (dim == 2)
    last = permute(b, loc, last, {0, 2, 1});

  SmallVector<Value> inits(scan.getInits());
  inits.erase(inits.begin() + state);
  SmallVector<Type> types(scan.getResultTypes());
  types.erase(types.begin() + state);
  auto smaller = ssm::ScanOp::create(
      b, loc, types, inits, sequences, b.getI64IntegerAttr(scan.getLength()),
      b.getDenseI64ArrayAttr(sequenceDims), scan.getStackDimsAttr(),
      /*reverse=*/nullptr);
  body->getTerminator()->eraseOperand(state);
  eraseDeadOps(*body);
  smaller.getBody().takeBody(scan.getBody());
  smaller.getBody().front().eraseArgument(state);
  unsigned next = 0;
  for (auto [i, result] : llvm::enumerate(scan.getResults()))
    result.replaceAllUsesWith(i == state ? last : smaller.getResult(next++));
  scan.erase();
}

namespace {
struct RecognizeShiftRegistersPass
    : itera::impl::RecognizeShiftRegistersPassBase<RecognizeShiftRegistersPass> {
  /// Rewrites one state of one scan.
  bool rewriteOne() {
    bool changed = false;
    getOperation().walk([&](ssm::ScanOp scan) {
      for (unsigned state = 0; state < scan.getInits().size(); ++state)
        for (int64_t dim : {int64_t(2), int64_t(1)}) {
          if (rankOf(scan.getInits()[state]) != 3)
            continue;
          ShiftRegister candidate(scan, state, dim);
          if (!candidate.match())
            continue;
          candidate.rewrite();
          ++numRaised;
          changed = true;
          return WalkResult::interrupt();
        }
      return WalkResult::advance();
    });
    return changed;
  }
  void runOnOperation() override {
    while (rewriteOne())
      ;
  }
};
} // namespace
