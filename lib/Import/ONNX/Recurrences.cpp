// SPDX-License-Identifier: Apache-2.0
// LinearAttention and CausalConvWithState, of ai.onnx (opset 27) and of
// com.microsoft, by their definition: a scan over time, a convolution over the
// past and the input.
//
// The two domains differ in the heads: ai.onnx has as many query heads as key
// heads or a multiple, com.microsoft also fewer than value heads.

#include "Common.h"

#include "itera/Dialect/SSM/SSM.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include <cmath>

using namespace mlir;
using namespace itera;
using namespace itera::onnx_import;

//===----------------------------------------------------------------------===//
// CausalConvWithState
//===----------------------------------------------------------------------===//

static LogicalResult causalConv(Node &n) {
  Value x = n.in(0), weight = n.in(1), bias = n.has(2) ? n.in(2) : Value();
  if (failed(n.expectFloat(0)) || failed(n.expectSameElement(0, 1)) ||
      (bias && failed(n.expectSameElement(0, 2))) ||
      (n.has(3) && failed(n.expectSameElement(0, 3))))
    return failure();
  if (n.intAttr("ndim", 1) != 1 || n.intAttr("channels_last", 0) != 0 ||
      n.intAttr("state_window", 0) != 0)
    return n.error() << "expected one spatial dimension, channels first and no "
                        "state window";
  Dims s = n.b.shapeOf(x), k = n.b.shapeOf(weight);
  int64_t dilation = n.intAttr("dilation", 1);
  if (s.size() != 3 || k.size() != 3 || k[0] != s[1] || k[1] != 1 || k[2] < 1 ||
      dilation < 1 || dilation > 1 << 20 || k[2] > 1 << 20)
    return n.error() << "expected an input [B, C, L] and a weight [C, 1, K], "
                        "but got "
                     << x.getType() << " and " << weight.getType();
  if (bias && n.b.shapeOf(bias) != Dims({s[1]}))
    return n.error() << "expected a bias of " << s[1] << " channels, but got "
                     << bias.getType();
  int64_t past = (k[2] - 1) * dilation;
  Shape pastShape{s[0], s[1], past};
  if (n.has(3) && n.b.shapeOf(n.in(3)) != Dims(pastShape))
    return n.shapeMismatch(n.b.shapeOf(n.in(3)), pastShape)
           << "expected a past of " << past << " entries, but got "
           << n.in(3).getType();
  // Without a past the convolution's own padding is the zeros.
  Value padded = n.has(3) ? n.b.concat({n.in(3), x}, 2) : x;
  int64_t low = n.has(3) ? 0 : past;
  Value y = ssm::ConvOp::create(n.b.builder, n.loc, x.getType(), padded, weight,
                                bias, Shape{1}, Shape{dilation}, Shape{low},
                                Shape{0}, s[1]);
  std::string activation = n.stringAttr("activation", "none");
  if (activation == "silu" || activation == "swish")
    y = ssm::SiluOp::create(n.b.builder, n.loc, y.getType(), y);
  else if (activation != "none" && !activation.empty())
    return n.error() << "expected activation none, silu or swish, but got '"
                     << activation << "'";
  n.out(y);
  if (!n.wantsOutput(1))
    return success();
  if (!n.has(3))
    padded = n.b.concat({n.b.splat(pastShape, n.b.elementOf(x), 0), x}, 2);
  n.out(n.b.sliceDim(padded, 2, n.b.shapeOf(padded)[2] - past, past));
  return success();
}

//===----------------------------------------------------------------------===//
// LinearAttention
//===----------------------------------------------------------------------===//

namespace {
class LinearAttention {
public:
  explicit LinearAttention(Node &n) : n(n) {}
  LogicalResult run();

private:
  LogicalResult readHeads();
  LogicalResult readRule();
  /// [B, T, heads * width] as float32 [B, T, heads, width], with each head
  /// repeated until there are `wanted`.
  Value heads(Value packed, int64_t count, int64_t width, int64_t wanted);
  FailureOr<Value> readState(RankedTensorType type);
  void buildBody(Block &block, bool hasDecay, bool hasBeta);

  Node &n;
  int64_t batch = 0, time = 0, queryHeads = 0, keyHeads = 0, valueHeads = 0,
          keyWidth = 0, valueWidth = 0, group = 1;
  bool gated = false, delta = false;
  double scale = 1;
};
} // namespace

LogicalResult LinearAttention::readHeads() {
  for (size_t i = 0; i < 3; ++i) {
    if (failed(n.expectFloat(i)))
      return failure();
    Dims shape = n.b.shapeOf(n.in(i));
    if (shape.size() != 3 ||
        shape.take_front(2) != n.b.shapeOf(n.in(0)).take_front(2))
      return n.error() << "expected query, key and value [B, T, heads * width], "
                          "but got "
                       << n.in(i).getType() << " as input " << i;
  }
  Dims query = n.b.shapeOf(n.in(0));
  batch = query[0];
  time = query[1];
  queryHeads = n.intAttr("q_num_heads", 0);
  valueHeads = n.intAttr("kv_num_heads", 0);
  int64_t keySize = n.b.shapeOf(n.in(1))[2], valueSize = n.b.shapeOf(n.in(2))[2];
  if (queryHeads < 1 || valueHeads < 1 || query[2] % queryHeads ||
      valueSize % valueHeads || query[2] == 0 || valueSize == 0)
    return n.error() << "expected head counts that divide the widths, but got "
                     << queryHeads << " and " << valueHeads;
  keyWidth = query[2] / queryHeads;
  valueWidth = valueSize / valueHeads;
  keyHeads = keySize / keyWidth;
  bool isInverse = queryHeads < valueHeads && !n.proto.domain().empty();
  bool fits = keySize % keyWidth == 0 && keyHeads > 0 &&
              valueHeads % keyHeads == 0 &&
              (isInverse ? valueHeads % queryHeads == 0
                         : queryHeads % valueHeads == 0);
  if (!fits)
    return n.error() << "expected query heads in a whole ratio to " << valueHeads
                     << " value heads and keys of the query's width, but got "
                     << queryHeads << " query heads and " << n.in(1).getType();
  group = std::max<int64_t>(1, queryHeads / valueHeads);
  if (time < 1)
    return n.error() << "expected at least one time step";
  return success();
}

LogicalResult LinearAttention::readRule() {
  std::string rule = n.stringAttr("update_rule", "gated_delta");
  gated = rule == "gated" || rule == "gated_delta";
  delta = rule == "delta" || rule == "gated_delta";
  if (!gated && !delta && rule != "linear")
    return n.error() << "expected update rule linear, gated, delta or "
                        "gated_delta, but got '"
                     << rule << "'";
  if (gated != n.has(4) || delta != n.has(5))
    return n.error() << "expected a decay for gated rules and a beta for delta "
                        "rules, and only then";
  if (n.intAttr("state_window", 0) != 0)
    return n.error() << "expected no state window";
  scale = n.floatAttr("scale", 0);
  if (scale == 0)
    scale = 1 / std::sqrt(static_cast<double>(keyWidth));
  return success();
}

Value LinearAttention::heads(Value packed, int64_t count, int64_t width,
                             int64_t wanted) {
  Value x = n.b.cast(packed, n.b.builder.getF32Type());
  if (count == wanted)
    return n.b.reshape(x, {batch, time, count, width});
  x = n.b.reshape(x, {batch, time, count, width});
  x = n.b.broadcastInto(x, {batch, time, count, wanted / count, width}, {3});
  return n.b.reshape(x, {batch, time, wanted, width});
}

FailureOr<Value> LinearAttention::readState(RankedTensorType type) {
  if (!n.has(3))
    return n.b.splat(type.getShape(), type.getElementType(), 0);
  if (n.b.shapeOf(n.in(3)) != type.getShape() || failed(n.expectFloat(3)))
    return n.error() << "expected a past state of shape [" << batch << ", "
                     << valueHeads << ", " << keyWidth << ", " << valueWidth
                     << "], but got " << n.in(3).getType();
  return n.b.cast(n.in(3), type.getElementType());
}

/// One step. Arguments: the state S [B, H, dk, dv], q [B, H, g, dk], k [B, H,
/// dk], v [B, H, dv], the factor exp(decay) and beta as they are given.
void LinearAttention::buildBody(Block &block, bool hasDecay, bool hasBeta) {
  TensorBuilder &b = n.b;
  OpBuilder::InsertionGuard guard(b.builder);
  b.builder.setInsertionPointToEnd(&block);
  enum : int64_t { B, H, G, K, V };
  Value state = block.getArgument(0), q = block.getArgument(1),
        k = block.getArgument(2), v = block.getArgument(3);
  Dims shape = b.shapeOf(state);
  unsigned next = 4;
  if (hasDecay) {
    Value factor = block.getArgument(next++);
    Shape added{3};
    if (b.rankOf(factor) == 2)
      added = {2, 3};
    state = b.mul(state, b.broadcastInto(factor, shape, added));
  }
  if (hasBeta) {
    Value beta = block.getArgument(next);
    Value read = b.contract(state, {B, H, K, V}, k, {B, H, K}, {B, H, V});
    Value wide = b.broadcastInto(beta, b.shapeOf(v), {2});
    v = b.mul(wide, b.sub(v, read));
  }
  Value outer = b.mul(b.broadcastInto(k, shape, {3}),
                      b.broadcastInto(v, shape, {2}));
  state = b.add(state, outer);
  Value out = b.contract(q, {B, H, G, K}, state, {B, H, K, V}, {B, H, G, V});
  if (scale != 1)
    out = b.mul(out, b.splatLike(out, scale));
  ssm::YieldOp::create(b.builder, n.loc, ValueRange{state, out});
}

LogicalResult LinearAttention::run() {
  if (failed(readHeads()) || failed(readRule()))
    return failure();
  TensorBuilder &b = n.b;
  Type f32 = b.builder.getF32Type();
  auto stateType = RankedTensorType::get(
      {batch, valueHeads, keyWidth, valueWidth}, f32);
  FailureOr<Value> init = readState(stateType);
  if (failed(init))
    return failure();
  int64_t allQueryHeads = valueHeads * group;
  Value q = heads(n.in(0), queryHeads, keyWidth, allQueryHeads);
  SmallVector<Value> sequences{
      b.reshape(q, {batch, time, valueHeads, group, keyWidth}),
      heads(n.in(1), keyHeads, keyWidth, valueHeads),
      heads(n.in(2), valueHeads, valueWidth, valueHeads)};
  if (gated) {
    if (failed(n.expectFloat(4)))
      return failure();
    Value decay = b.cast(n.in(4), f32);
    Dims shape = b.shapeOf(decay);
    if (shape == Dims({batch, time, valueHeads * keyWidth}) && keyWidth > 1)
      decay = b.reshape(decay, {batch, time, valueHeads, keyWidth});
    else if (shape != Dims({batch, time, valueHeads}))
      return n.error() << "expected a decay per head or per head and key width, "
                          "but got "
                       << n.in(4).getType();
    sequences.push_back(b.make<math::ExpOp>(decay));
  }
  if (delta) {
    if (failed(n.expectFloat(5)))
      return failure();
    Value beta = b.cast(n.in(5), f32);
    Dims shape = b.shapeOf(beta);
    if (shape != Dims({batch, time, valueHeads}) &&
        shape != Dims({batch, time, 1}))
      return n.error() << "expected a beta per head or one for all, but got "
                       << n.in(5).getType();
    sequences.push_back(b.broadcast(beta, {batch, time, valueHeads}));
  }
  auto outType = RankedTensorType::get(
      {batch, time, valueHeads, group, valueWidth}, f32);
  auto scan = ssm::ScanOp::create(
      b.builder, n.loc, TypeRange{stateType, outType}, ValueRange(*init),
      sequences, b.builder.getI64IntegerAttr(time),
      b.builder.getDenseI64ArrayAttr(Shape(sequences.size(), 1)),
      b.builder.getDenseI64ArrayAttr({1}), UnitAttr());
  Block &block = scan.getBody().emplaceBlock();
  block.addArgument(stateType, n.loc);
  for (Value sequence : sequences) {
    Shape shape(b.shapeOf(sequence));
    shape.erase(shape.begin() + 1);
    block.addArgument(RankedTensorType::get(shape, f32), n.loc);
  }
  buildBody(block, gated, delta);
  Value out = b.reshape(scan.getResult(1),
                        {batch, time, allQueryHeads * valueWidth});
  n.out(b.cast(out, b.elementOf(n.in(0))));
  Type stateElement = b.elementOf(n.has(3) ? n.in(3) : n.in(0));
  n.out(b.cast(scan.getResult(0), stateElement));
  return success();
}

static LogicalResult linearAttention(Node &n) {
  return LinearAttention(n).run();
}

ArrayRef<OpEntry> onnx_import::recurrentOps() {
  constexpr const char *kMs = "com.microsoft";
  static const OpEntry kOps[] = {
      {"", "CausalConvWithState", 27, kNewestOpset, 2, 4, causalConv},
      {"", "LinearAttention", 27, kNewestOpset, 3, 6, linearAttention},
      {kMs, "CausalConvWithState", 1, 1, 2, 4, causalConv, false,
       "one dimension, channels first, no state window"},
      {kMs, "LinearAttention", 1, 1, 3, 6, linearAttention, false,
       "no state window"},
  };
  return kOps;
}
