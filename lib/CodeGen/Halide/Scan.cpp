// SPDX-License-Identifier: Apache-2.0
// ssm.selective_scan and ssm.linear_recurrence.
//
// Both carry a state through time that must stay in registers. In Halide a
// value that is overwritten at every step is a Func with a dimension of
// stride 0: F(d, n, t) is a Tuple of two output buffers, where y has no
// dimension n and the state has no dimension t, which the strides of the
// buffers say and Halide does not know. One update over (n, t) then reads and
// writes the same state element at every t, and because the two buffers are
// known not to alias, LLVM keeps the states in registers over the loop. Halide
// believes that the points are distinct and could run them in any order: so
// the order of the reduction domain is never touched, and only the channels
// are vectorised. Measured on Zen 4: 0.27 ns per update with AVX-512, 0.4 with
// AVX2.
//
// Halide takes an output that it reads back for vector aligned, whatever its
// parameter says. The buffers have one more dimension, of size 1 and of a
// stride that only the caller knows, which leaves it nothing to conclude.
//
// The state is the second element of the Tuple: Halide may store an element
// before it computes the next, and y reads the state but not the other way
// round.
//
// A selective scan of one frame is not a loop over time but a pass over the
// state, which is larger than the nearest cache: there the channels run inside
// of the tiles of states, so that memory is read and written in its own order,
// and y is summed in memory. Each element is computed by the same operations
// in the same order.

#include "Builder.h"

using namespace itera;
using namespace itera::halide;

/// The dimension of size 1: see the head of the file.
static constexpr KernelBuffer::Dim kOpaque{0, 1, 1};

namespace {
/// A result of the kernel as the op's own value: how far apart the elements
/// of each of its dimensions are.
struct Placed {
  mlir::Value base;
  std::vector<int64_t> strides;
  unsigned result;
};

/// Consecutive channels, in vectors of one width.
struct Channels {
  int first, count, width;
};
} // namespace

/// Follows transposes from a result to what they permute.
static Placed place(mlir::Value value, unsigned result) {
  std::vector<int64_t> strides = stridesOf(shapeOf(value));
  while (auto transpose = value.getDefiningOp<mlir::linalg::TransposeOp>()) {
    std::vector<int64_t> source(strides.size());
    for (auto [dim, from] : llvm::enumerate(transpose.getPermutation()))
      source[from] = strides[dim];
    strides = source;
    value = transpose.getInput();
  }
  return {value, strides, result};
}

/// The two results of a kernel that is one recurrence: all steps, last state.
static std::pair<Placed, Placed>
placeResults(mlir::func::FuncOp function, mlir::Value steps, mlir::Value last) {
  auto ret = mlir::cast<mlir::func::ReturnOp>(
      function.getBody().front().getTerminator());
  std::pair<Placed, Placed> placed;
  if (ret.getNumOperands() != 2)
    fail("expected a recurrence's kernel to have two results");
  for (unsigned i = 0; i < 2; ++i) {
    Placed p = place(ret.getOperand(i), i);
    if (p.base == steps)
      placed.first = p;
    else if (p.base == last)
      placed.second = p;
  }
  if (!placed.first.base || !placed.second.base)
    fail("expected the results of a recurrence's kernel to be its steps and "
         "its last state");
  return placed;
}

/// Cuts channels into whole vectors and ever smaller rests.
static std::vector<Channels> cutChannels(int count, int lanes) {
  std::vector<Channels> parts;
  for (int first = 0, width = lanes; first < count; width /= 2) {
    int here = (count - first) / width * width;
    if (here > 0)
      parts.push_back({first, here, width});
    first += here;
  }
  return parts;
}

/// How many states of a channel are carried in registers at a time: a divisor
/// of `states`.
static int statesPerTile(int states, const Machine &machine) {
  bool arm = machine.target.arch == Halide::Target::ARM;
  int most = arm ? 4 : machine.registers == 32 ? 16 : 8;
  int best = 1;
  for (int n = 1; n <= most; ++n)
    if (states % n == 0)
      best = n;
  // An awkward number of states is carried whole if it is not large.
  return best * 2 <= most && states <= 2 * most ? states : best;
}

bool KernelBuilder::claimScan() {
  ssm::SelectiveScanOp op;
  for (mlir::Operation &candidate : function.getBody().front())
    if (auto found = mlir::dyn_cast<ssm::SelectiveScanOp>(candidate))
      op = found;
  if (!op)
    return false;
  auto [steps, last] = placeResults(function, op.getY(), op.getLast());
  Shape shape = shapeOf(op.getX());
  int batch = shape[0], frames = shape[1], states = shapeOf(op.getInit())[2];
  int groups = op.getNumGroups(), perGroup = shape[2] / groups;
  int tile = statesPerTile(states, machine), tiles = states / tile;
  bool reverse = op.getReverse();
  auto frame = [&](Expr t) { return reverse ? frames - 1 - t : t; };
  Expr log2e = 1.44269504f;

  for (Channels channels : cutChannels(perGroup, machine.lanes)) {
    forget();
    Var d("d"), n("n"), t("t"), g("g"), b("b"), q("q");
    Expr channel = d + channels.first;
    if (groups > 1)
      channel += g * perGroup;
    // Element (n, t) of B or C.
    auto perState = [&](mlir::Value value, Expr t, Expr n) {
      if (shapeOf(value).size() == 3)
        return at(value, {b, t, n});
      return at(value, {b, t, groups > 1 ? Expr(g) : Expr(0), n});
    };
    // What depends on time and channel alone is computed once per step.
    std::vector<Func> perStep;
    auto addPerStep = [&](const char *name, Expr value) {
      Func f = func(name);
      f(d, t, g, b) = value;
      perStep.push_back(f);
      return f;
    };
    Expr delta = at(op.getDt(), {b, frame(t), channel});
    Expr x = at(op.getX(), {b, frame(t), channel});
    Func dt, gate, skip;
    if (op.hasDecayPerState())
      dt = addPerStep("dt", mul(delta, log2e));
    else
      dt = addPerStep("decay", fp::decayExp2(mul(mul(delta, log2e),
                                                 at(op.getA(), {channel}))));
    Func du = addPerStep("du", mul(delta, x));
    if (op.getZ())
      gate =
          addPerStep("gate", fp::silu(at(op.getZ(), {b, frame(t), channel})));
    if (op.getD())
      skip = addPerStep("skip", mul(at(op.getD(), {channel}), x));

    // Algorithm
    Func f = func("scan");
    f(d, n, t, g, b, q) =
        Halide::Tuple(Halide::undef<float>(), Halide::undef<float>());
    RDom all(0, states, "s");
    if (frames > 1)
      f(d, all, frame(0), g, b, q) = Halide::Tuple(
          Halide::undef<float>(), at(op.getInit(), {b, channel, all.x}));
    RDom r(0, tile, 0, frames, 0, tiles, "r");
    Expr state = r.z * tile + r.x, now = frame(r.y);
    Halide::FuncRef here = f(d, state, now, g, b, q);
    Expr decay = dt(d, r.y, g, b);
    if (op.hasDecayPerState())
      decay = fp::decayExp2(mul(decay, at(op.getA(), {channel, state})));
    Expr before = frames > 1 ? here[1] : at(op.getInit(), {b, channel, state});
    Expr h = fma(decay, before,
                 mul(du(d, r.y, g, b), perState(op.getB(), now, state)));
    Expr start = op.getD() ? skip(d, r.y, g, b) : Expr(0.0f);
    Expr y = here[0];
    // Tiles other than the first continue its sum. Unrolling n leaves no
    // select inside of a tile.
    if (tiles > 1)
      start = select(Halide::likely(r.z > 0), y, start);
    y = select(r.x == 0, start, y);
    // Two linked fused sums could be regrouped: every second one rounds as
    // written.
    Expr c = perState(op.getC(), now, state);
    y = select(r.x % 2 == 0, add(y, mul(h, c)), fma(h, c, y));
    if (op.getZ()) {
      Expr gated = mul(y, gate(d, r.y, g, b));
      if (tiles > 1)
        gated = select(Halide::likely(r.z < tiles - 1), y, gated);
      y = select(r.x == tile - 1, gated, y);
    }
    f(d, state, now, g, b, q) = Halide::Tuple(y, h);

    // Schedule
    Var outer("do"), lane("di");
    auto fits = [&](int64_t values) {
      return values * 4 * int64_t(perStep.size()) <= kStackBytes / 2;
    };
    bool onePass = frames == 1 && fits(channels.count);
    if (frames > 1) {
      Halide::Stage first = f.update(0);
      first.split(d, outer, lane, channels.width, TailStrategy::RoundUp)
          .reorder(lane, all.x, outer, g, b, q);
      if (channels.width > 1)
        first.vectorize(lane);
    }
    Halide::Stage main = f.update(frames > 1 ? 1 : 0);
    main.split(d, outer, lane, channels.width, TailStrategy::RoundUp);
    if (onePass)
      main.reorder(lane, r.x, outer, r.y, r.z, g, b, q);
    else
      main.reorder(lane, r.x, r.y, r.z, outer, g, b, q);
    main.unroll(r.x);
    if (channels.width > 1)
      main.vectorize(lane);
    // With several tiles the steps are passed several times: keep their
    // values for all of them if there is room.
    for (Func &value : perStep) {
      if (onePass)
        value.compute_at(f, g);
      else if (tiles > 1 && fits(int64_t(frames) * channels.width))
        value.compute_at(f, outer);
      else
        value.compute_at(f, r.y);
      value.store_in(kOnStack);
      if (channels.width > 1)
        value.vectorize(d, channels.width);
    }

    auto dims = [&](const Placed &p, int64_t n, int64_t t, int64_t d,
                    int64_t b) {
      return View{{{0, channels.count, int32_t(d)},
                   {0, states, int32_t(n)},
                   {0, frames, int32_t(t)},
                   {0, groups, int32_t(perGroup * d)},
                   {0, batch, int32_t(b)},
                   kOpaque},
                  channels.first * d};
    };
    addOutput(
        f, {steps.result, last.result},
        {dims(steps, 0, steps.strides[1], steps.strides[2], steps.strides[0]),
         dims(last, last.strides[2], 0, last.strides[1], last.strides[0])},
        /*opaqueLast=*/true);
  }
  return true;
}

bool KernelBuilder::claimRecurrence() {
  ssm::LinearRecurrenceOp op;
  for (mlir::Operation &candidate : function.getBody().front())
    if (auto found = mlir::dyn_cast<ssm::LinearRecurrenceOp>(candidate))
      op = found;
  if (!op)
    return false;
  auto [steps, last] = placeResults(function, op.getStates(), op.getLast());
  Shape shape = shapeOf(op.getU());
  int timeDim = op.getDim(), frames = shape[timeDim];
  bool reverse = op.getReverse();
  auto frame = [&](Expr t) { return reverse ? frames - 1 - t : t; };

  // The dimensions of the state, innermost first; the first is the vector.
  std::vector<int> dims;
  for (int i = int(shape.size()) - 1; i >= 0; --i)
    if (i != timeDim && shape[i] != 1)
      dims.push_back(i);
  if (dims.empty() && shape.size() > 1)
    dims.push_back(timeDim == 0 ? 1 : 0);
  auto stateDim = [&](int dim) { return dim < timeDim ? dim : dim - 1; };

  for (Channels channels :
       cutChannels(dims.empty() ? 1 : shape[dims[0]], machine.lanes)) {
    forget();
    std::vector<Var> vars;
    Index state(shape.size() - 1, Expr(0)), step(shape.size(), Expr(0));
    View stepView, lastView;
    for (auto [i, dim] : llvm::enumerate(dims)) {
      vars.push_back(var("e"));
      int first = i == 0 ? channels.first : 0;
      int count = i == 0 ? channels.count : shape[dim];
      step[dim] = state[stateDim(dim)] = vars[i] + first;
      stepView.dims.push_back({0, count, int32_t(steps.strides[dim])});
      lastView.dims.push_back({0, count, int32_t(last.strides[stateDim(dim)])});
      stepView.offset += first * steps.strides[dim];
      lastView.offset += first * last.strides[stateDim(dim)];
    }
    if (dims.empty()) { // a scalar state
      vars.push_back(var("e"));
      stepView.dims.push_back({0, 1, 1});
      lastView.dims.push_back({0, 1, 1});
    }
    stepView.dims.push_back({0, frames, int32_t(steps.strides[timeDim])});
    lastView.dims.push_back({0, frames, 0});
    stepView.dims.push_back(kOpaque);
    lastView.dims.push_back(kOpaque);

    // Algorithm
    Func f = func("recurrence");
    RDom r(0, frames, "r");
    Var q("q");
    auto withTime = [&](Expr t) {
      std::vector<Expr> index(vars.begin(), vars.end());
      index.push_back(t);
      index.push_back(q);
      return index;
    };
    std::vector<Var> all = vars;
    all.push_back(var("t"));
    all.push_back(q);
    f(all) = Halide::Tuple(Halide::undef<float>(), Halide::undef<float>());
    f(withTime(frame(0))) =
        Halide::Tuple(Halide::undef<float>(), at(op.getInit(), state));
    step[timeDim] = frame(r.x);
    Expr h = fma(at(op.getA(), step), f(withTime(frame(r.x)))[1],
                 at(op.getU(), step));
    f(withTime(frame(r.x))) = Halide::Tuple(h, h);

    // Schedule: some vectors side by side hide the latency of the chain.
    int side = 1;
    while (side < 4 && channels.count % (2 * side * channels.width) == 0)
      side *= 2;
    Var outer("eo"), inner("ei"), lane("lane"), vec("vec");
    Halide::Stage first = f.update(0), main = f.update(1);
    first.split(vars[0], outer, lane, channels.width, TailStrategy::RoundUp);
    main.split(vars[0], outer, inner, side * channels.width,
               TailStrategy::RoundUp)
        .split(inner, vec, lane, channels.width, TailStrategy::GuardWithIf);
    std::vector<VarOrRVar> order{lane, vec, r.x, outer};
    for (size_t i = 1; i < vars.size(); ++i)
      order.push_back(vars[i]);
    order.push_back(q);
    main.reorder(order).unroll(vec);
    if (channels.width > 1) {
      first.vectorize(lane);
      main.vectorize(lane);
    }
    addOutput(f, {steps.result, last.result}, {stepView, lastView},
              /*opaqueLast=*/true);
  }
  return true;
}
