// SPDX-License-Identifier: Apache-2.0
// A depthwise convolution slides K taps over the frames
//
//   [ zeros | past | x | zeros ]        over time, the last dimension
//
// where the zeros are the op's padding or a tensor.pad, and past comes by a
// concat. Its output i sees the frames i .. i+K-1, so the output that ends
// with frame t of x is i = zeros + past + t - (K-1). If all outputs that are
// used are such, the convolution is causal, and what was before x is its past.

#include "Match.h"
#include "itera/Transforms/Raise/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"

namespace itera {
#define GEN_PASS_DEF_RECOGNIZECAUSALCONVPASS
#include "itera/Transforms/Raise/Passes.h.inc"
} // namespace itera

using namespace mlir;
using namespace itera;
using namespace itera::raise;

namespace {
/// What a convolution slides over.
struct Frames {
  int64_t zeros;
  Value past; // or null
  Value x;
};
} // namespace

/// Takes the op's input apart.
static std::optional<Frames> matchFrames(ssm::ConvOp conv) {
  Frames frames{conv.getPadsLow()[0], {}, conv.getX()};
  if (auto pad = frames.x.getDefiningOp<tensor::PadOp>()) {
    Value filler = pad.getConstantPaddingValue();
    ArrayRef<int64_t> low = pad.getStaticLow(), high = pad.getStaticHigh();
    bool isStatic = pad.getLow().empty() && pad.getHigh().empty();
    if (!filler || !isZero(filler) || !isStatic || low[0] || low[1] ||
        high[0] || high[1] || low[2] < 0 || high[2] < 0)
      return std::nullopt;
    frames.zeros += low[2];
    frames.x = pad.getSource();
  }
  auto concat = frames.x.getDefiningOp<tensor::ConcatOp>();
  if (!concat || concat.getDim() != 2)
    return frames;
  SmallVector<Value> parts = llvm::filter_to_vector(
      concat.getInputs(), [](Value part) { return shapeOf(part)[2] > 0; });
  if (parts.size() == 2) {
    frames.past = parts[0];
    frames.x = parts[1];
  } else if (parts.size() == 1) {
    frames.x = parts[0];
  }
  return frames;
}

/// The slice [offset, offset + size) along the last of three dimensions.
static Value sliceTime(OpBuilder &builder, Location loc, Value value,
                       int64_t offset, int64_t size) {
  SmallVector<int64_t> shape(shapeOf(value));
  if (offset == 0 && size == shape[2])
    return value;
  shape[2] = size;
  SmallVector<int64_t> offsets{0, 0, offset}, strides{1, 1, 1};
  return tensor::ExtractSliceOp::create(
      builder, loc, typeOf(value).clone(shape), value,
      getAsIndexOpFoldResult(builder.getContext(), offsets),
      getAsIndexOpFoldResult(builder.getContext(), shape),
      getAsIndexOpFoldResult(builder.getContext(), strides));
}

/// The range of time that a use of the convolution reads, if it is one.
static std::optional<std::pair<int64_t, int64_t>> usedRange(Operation *user) {
  auto slice = dyn_cast<tensor::ExtractSliceOp>(user);
  if (!slice || !slice.getOffsets().empty() || !slice.getSizes().empty() ||
      !slice.getStrides().empty())
    return std::nullopt;
  int64_t offset = slice.getStaticOffsets()[2];
  int64_t size = slice.getStaticSizes()[2];
  int64_t stride = slice.getStaticStrides()[2];
  return std::pair(offset, offset + (size - 1) * stride + 1);
}

/// Whether the output has one channel per channel of x and one frame per step.
static bool isDepthwise(ssm::ConvOp conv) {
  return rankOf(conv.getX()) == 3 && shapeOf(conv.getWeight())[1] == 1 &&
         shapeOf(conv.getWeight())[0] == shapeOf(conv.getX())[1] &&
         conv.getStrides()[0] == 1 && conv.getDilations()[0] == 1;
}

/// Lets the convolution end in silu when that is all it is used for, also
/// through transposes.
static void takeSilu(ssm::CausalConv1dOp conv) {
  Value value = conv.getY();
  while (value.hasOneUse()) {
    Operation *user = *value.user_begin();
    if (auto silu = dyn_cast<ssm::SiluOp>(user)) {
      silu.getY().replaceAllUsesWith(silu.getX());
      conv.setActivation(ssm::Activation::silu);
      return;
    }
    if (!isa<linalg::TransposeOp, tensor::ExtractSliceOp, tensor::ExpandShapeOp,
             tensor::CollapseShapeOp>(user))
      return;
    value = user->getResult(0);
  }
}

/// Lets the convolution add the vector over channels that is added to it, when
/// that is all it is used for.
static void takeBias(ssm::CausalConv1dOp conv) {
  if (conv.getBias() || conv.getActivation() != ssm::Activation::none ||
      !conv->hasOneUse())
    return;
  auto add = dyn_cast<arith::AddFOp>(*conv->user_begin());
  if (!add || add.getLhs() == add.getRhs())
    return;
  OpBuilder builder(add);
  Value other = add.getLhs() == conv.getY() ? add.getRhs() : add.getLhs();
  Value bias = matchVectorAlong(builder, other, 2);
  if (!bias)
    return;
  // The bias may come after the convolution.
  builder.setInsertionPoint(add);
  auto whole = ssm::CausalConv1dOp::create(
      builder, conv.getLoc(), conv.getY().getType(), conv.getX(),
      conv.getWeight(), bias, conv.getPast(), ssm::Activation::none);
  add.getResult().replaceAllUsesWith(whole.getY());
  takeSilu(whole);
}

static bool raiseConv(ssm::ConvOp conv) {
  if (!isDepthwise(conv))
    return false;
  std::optional<Frames> frames = matchFrames(conv);
  int64_t taps = shapeOf(conv.getWeight())[2];
  if (!frames)
    return false;
  int64_t length = shapeOf(frames->x)[2];
  int64_t pastLength = frames->past ? shapeOf(frames->past)[2] : 0;
  // Zeros in front of a past that is too short would be part of the past.
  if (pastLength > 0 && pastLength < taps - 1 && frames->zeros > 0)
    return false;
  int64_t first = frames->zeros + pastLength - (taps - 1);
  if (first < 0 || length < 1)
    return false;
  bool whole = first == 0 && shapeOf(conv.getY())[2] == length;
  for (Operation *user : conv->getUsers()) {
    auto range = usedRange(user);
    if (!whole &&
        (!range || range->first < first || range->second > first + length))
      return false;
  }

  OpBuilder builder(conv);
  Location loc = conv.getLoc();
  Value past;
  if (pastLength > 0 && taps > 1)
    past = permute(builder, loc,
                   sliceTime(builder, loc, frames->past,
                             pastLength - (taps - 1), taps - 1),
                   {0, 2, 1});
  Value weight = reshape(builder, loc, conv.getWeight(),
                         {shapeOf(conv.getWeight())[0], taps});
  Value x = permute(builder, loc, frames->x, {0, 2, 1});
  auto causal =
      ssm::CausalConv1dOp::create(builder, loc, x.getType(), x, weight,
                                  conv.getBias(), past, ssm::Activation::none);
  Value y = permute(builder, loc, causal.getY(), {0, 2, 1});
  if (whole) {
    conv.getY().replaceAllUsesWith(y);
  } else {
    for (Operation *user : llvm::make_early_inc_range(conv->getUsers())) {
      auto slice = cast<tensor::ExtractSliceOp>(user);
      if (slice.getType() == y.getType()) {
        slice.getResult().replaceAllUsesWith(y);
        continue;
      }
      SmallVector<int64_t> offsets(slice.getStaticOffsets());
      offsets[2] -= first;
      slice.setStaticOffsets(offsets);
      slice.getSourceMutable().assign(y);
    }
  }
  takeSilu(causal);
  return true;
}

namespace {
struct RecognizeCausalConvPass
    : itera::impl::RecognizeCausalConvPassBase<RecognizeCausalConvPass> {
  void runOnOperation() override {
    visitAndClean(getOperation(), [&](Operation *op) {
      if (auto conv = dyn_cast<ssm::ConvOp>(op); conv && !op->use_empty())
        numRaised += raiseConv(conv);
      else if (auto causal = dyn_cast<ssm::CausalConv1dOp>(op))
        takeBias(causal);
    });
  }
};
} // namespace
