// SPDX-License-Identifier: Apache-2.0
// Reductions: linalg.reduce, norms, softmax.

#include "Builder.h"

#include "itera/Dialect/SSM/InOrder.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/Matchers.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace itera;
using namespace itera::halide;

Func KernelBuilder::reduceLanes(
    const std::vector<Var> &rows, const Shape &rowExtents, int count, Expr init,
    const Combine &combine,
    const std::function<Expr(const std::vector<Expr> &, Expr)> &element,
    bool isPlaced) {
  std::vector<Expr> rowIndex(rows.begin(), rows.end());
  auto with = [&](Expr first) {
    std::vector<Expr> index{first};
    index.insert(index.end(), rows.begin(), rows.end());
    return index;
  };
  auto withVar = [&](Var first) {
    std::vector<Var> index{first};
    index.insert(index.end(), rows.begin(), rows.end());
    return index;
  };
  Func total = func("total");
  std::vector<Func> parts;
  // Several vectors hide the latency of one addition. How many elements that is
  // must not depend on the machine, or the sum would.
  int lanes = 16;
  while (lanes < 64 && count >= 4 * lanes)
    lanes *= 2;
  if (count < lanes)
    lanes = powerOfTwoBelow(count);
  Var l = var("lane");
  Func part = func("part");
  part(withVar(l)) = element(rowIndex, l);
  int chunks = count / lanes, rest = count % lanes;
  if (chunks > 1) {
    RDom r(1, chunks - 1, "chunk");
    part(withVar(l)) = combine(part(with(l)), element(rowIndex, r * lanes + l));
    Halide::Stage update = part.update();
    update.reorder(l, r.x);
    if (lanes > 1)
      update.vectorize(l, std::min(lanes, machine.lanes),
                       TailStrategy::RoundUp);
    if (lanes > machine.lanes)
      update.unroll(l);
  }
  if (rest > 0) {
    RDom r(0, rest, "rest");
    part(with(r.x)) =
        combine(part(with(r.x)), element(rowIndex, r + chunks * lanes));
  }
  part.bound(l, 0, lanes);
  if (lanes > 1)
    part.vectorize(l, std::min(lanes, machine.lanes));
  parts.push_back(part);
  // Halves: lane i takes lane i + half.
  Func level = part;
  for (int width = lanes / 2; width >= 1; width /= 2) {
    Var i = var("lane");
    Func next = func("half");
    next(withVar(i)) = combine(level(with(i)), level(with(i + width)));
    next.bound(i, 0, width);
    if (width > 1)
      next.vectorize(i, std::min(width, machine.lanes));
    parts.push_back(next);
    level = next;
  }
  Expr value = level(with(0));
  if (init.defined())
    value = combine(init, value);
  std::vector<Var> totalVars = rows;
  total(totalVars) = value;
  total.store_in(kOnStack);
  if (isPlaced) {
    for (auto [v, extent] : llvm::zip(rows, rowExtents))
      total.bound(v, 0, extent);
    total.compute_root();
    reserveStack(elementsOf(rowExtents) * 4);
  }
  reserveStack(lanes * 8);
  for (Func f : parts) {
    f.store_in(kOnStack);
    f.compute_at(total, rows[0]);
  }
  return total;
}

/// The row dimensions of a value reduced over `dim`: vars and extents,
/// innermost first, and how to put an index together again.
namespace {
struct Rows {
  std::vector<Var> vars;
  Shape extents;
  std::vector<int> dims; // of the value, for each var
};
} // namespace

static Rows rowsOf(const Shape &shape, int dim,
                   const std::function<Var()> &fresh) {
  Rows rows;
  for (int i = int(shape.size()) - 1; i >= 0; --i)
    if (i != dim && shape[i] != 1) {
      rows.vars.push_back(fresh());
      rows.extents.push_back(shape[i]);
      rows.dims.push_back(i);
    }
  if (rows.vars.empty()) {
    rows.vars.push_back(fresh());
    rows.extents.push_back(1);
    rows.dims.push_back(-1);
  }
  return rows;
}

static Index indexOf(const Rows &rows, const std::vector<Expr> &row,
                     size_t rank, int dim, Expr e) {
  Index index(rank, Expr(0));
  for (auto [d, x] : llvm::zip(rows.dims, row))
    if (d >= 0)
      index[d] = x;
  index[dim] = e;
  return index;
}

static std::vector<Expr> rowIndex(const Rows &rows, const Index &index) {
  std::vector<Expr> row;
  for (int d : rows.dims)
    row.push_back(d >= 0 ? index[d] : Expr(0));
  return row;
}

Expr KernelBuilder::normAt(ssm::NormOp op, const Index &index) {
  Shape shape = shapeOf(op.getX());
  int rank = shape.size(), dim = rank - 1, count = shape[dim];
  Rows rows = rowsOf(shape, dim, [&] { return var("row"); });
  bool layer = op.getKind() == ssm::NormKind::layer;
  auto &stages = stageCache[op];
  if (stages.empty()) {
    auto x = reader(op.getX());
    Expr scale = Halide::Internal::make_const(Halide::Float(32), 1.0 / count);
    Expr n = Halide::Internal::make_const(Halide::Float(32), count);
    if (layer) {
      Func sum = reduceLanes(rows.vars, rows.extents, count, Expr(), add,
                             [&](const std::vector<Expr> &row, Expr e) {
                               return x(indexOf(rows, row, rank, dim, e));
                             });
      stages.push_back(sum);
    }
    Func squares = reduceLanes(rows.vars, rows.extents, count, Expr(), add,
                               [&](const std::vector<Expr> &row, Expr e) {
                                 Expr v = x(indexOf(rows, row, rank, dim, e));
                                 if (layer)
                                   v = sub(v, div(stages[0](row), n));
                                 return mul(v, v);
                               });
    Func factor = func("factor");
    std::vector<Expr> row(rows.vars.begin(), rows.vars.end());
    Expr epsilon = Halide::Internal::make_const(
        Halide::Float(32), op.getEpsilon().convertToFloat());
    factor(rows.vars) = fp::rsqrt(add(div(squares(row), n), epsilon));
    for (auto [v, extent] : llvm::zip(rows.vars, rows.extents))
      factor.bound(v, 0, extent);
    factor.compute_root().store_in(kOnStack);
    vectorizeInner(factor, rows.vars[0], rows.extents[0],
                   TailStrategy::ShiftInwards);
    stages.push_back(factor);
  }
  std::vector<Expr> row = rowIndex(rows, index);
  Expr v = at(op.getX(), index);
  if (layer) {
    Expr n = Halide::Internal::make_const(Halide::Float(32), count);
    v = sub(v, div(stages[0](row), n));
  }
  v = mul(v, stages.back()(row));
  if (op.getScale())
    v = mul(v, at(op.getScale(), {index.back()}));
  if (op.getBias())
    v = add(v, at(op.getBias(), {index.back()}));
  return v;
}

static Expr larger(Expr a, Expr b) { return select(lessThan(a, b), b, a); }

Expr KernelBuilder::softmaxAt(mlir::linalg::SoftmaxOp op, const Index &index) {
  mlir::Value input = op.getInput();
  Shape shape = shapeOf(input);
  int rank = shape.size(), dim = op.getDimension(), count = shape[dim];
  Rows rows = rowsOf(shape, dim, [&] { return var("row"); });
  auto &stages = stageCache[op];
  if (stages.empty()) {
    auto x = reader(input);
    auto element = [&](const std::vector<Expr> &row, Expr e) {
      return x(indexOf(rows, row, rank, dim, e));
    };
    Func highest =
        reduceLanes(rows.vars, rows.extents, count, Expr(), larger, element);
    Func sum = reduceLanes(rows.vars, rows.extents, count, Expr(), add,
                           [&](const std::vector<Expr> &row, Expr e) {
                             return fp::exp(sub(element(row, e), highest(row)));
                           });
    stages = {highest, sum};
  }
  std::vector<Expr> row = rowIndex(rows, index);
  return div(fp::exp(sub(at(input, index), stages[0](row))), stages[1](row));
}

/// The reduction's one combining op, when any grouping gives the same result
/// up to rounding.
static bool isAssociative(mlir::Operation *op) {
  using namespace mlir::arith;
  return mlir::isa<AddFOp, MulFOp, AddIOp, MulIOp, MaximumFOp, MinimumFOp,
                   MaxNumFOp, MinNumFOp, MaxSIOp, MinSIOp, AndIOp, OrIOp,
                   XOrIOp>(op);
}

Func KernelBuilder::buildReduce(mlir::linalg::ReduceOp op, unsigned) {
  mlir::Value input = op.getInputs()[0], init = op.getInits()[0];
  Shape shape = shapeOf(input), outShape = shapeOf(op.getResult(0));
  int rank = shape.size();
  mlir::Block &body = op.getCombiner().front();
  // The combiner on scalars: body arguments are (element, accumulator).
  auto combine = [&](Expr element, Expr accumulator) {
    llvm::DenseMap<mlir::Value, Expr> values;
    values[body.getArgument(0)] = element;
    values[body.getArgument(1)] = accumulator;
    for (mlir::Operation &inner : body.without_terminator()) {
      std::vector<Expr> operands;
      for (mlir::Value v : inner.getOperands()) {
        auto it = values.find(v);
        operands.push_back(it != values.end() ? it->second : at(v, {}));
      }
      if (mlir::Attribute attr;
          mlir::matchPattern(&inner, mlir::m_Constant(&attr)))
        values[inner.getResult(0)] =
            constant(attr, inner.getResult(0).getType(), {});
      else if (isElementwise(&inner))
        values[inner.getResult(0)] = scalarOp(&inner, operands);
      else
        fail("a reduction's body holds '" + inner.getName().getStringRef() +
             "'");
    }
    mlir::Value yielded = body.getTerminator()->getOperand(0);
    auto it = values.find(yielded);
    return it != values.end() ? it->second : at(yielded, {});
  };
  llvm::ArrayRef<int64_t> dims = op.getDimensions();
  // Each element is read once: nothing to keep.
  auto x = [&](const Index &index) { return at(input, index); };

  bool oneOp = llvm::hasSingleElement(body.without_terminator()) &&
               isAssociative(&body.front()) &&
               llvm::all_of(body.front().getOperands(), [&](mlir::Value v) {
                 return mlir::isa<mlir::BlockArgument>(v);
               });
  // Over the innermost dimension alone: by lanes. Not where it goes on from what
  // others have reduced: a stream is to have the same sum however it is cut.
  if (dims.size() == 1 && oneOp && !mlir::isa<mlir::BlockArgument>(init) &&
      !ssm::isInOrder(op) &&
      (dims[0] == rank - 1 ||
       elementsOf(Shape(shape.begin() + dims[0] + 1, shape.end())) == 1)) {
    int dim = dims[0];
    Rows rows = rowsOf(shape, dim, [&] { return var("row"); });
    std::vector<Expr> row(rows.vars.begin(), rows.vars.end());
    Index outIndex;
    Index full = indexOf(rows, row, rank, dim, 0);
    for (int i = 0; i < rank; ++i)
      if (i != dim)
        outIndex.push_back(full[i]);
    return reduceLanes(
        rows.vars, rows.extents, shape[dim], at(init, outIndex),
        [&](Expr a, Expr b) { return combine(b, a); },
        [&](const std::vector<Expr> &row, Expr e) {
          return x(indexOf(rows, row, rank, dim, e));
        });
  }

  // Otherwise in order, vectorised over what stays.
  std::vector<Var> vars;
  std::vector<int> extents;
  Index outIndex(outShape.size(), Expr(0));
  for (int i = int(outShape.size()) - 1; i >= 0; --i)
    if (outShape[i] != 1) {
      vars.push_back(var("r"));
      extents.push_back(outShape[i]);
      outIndex[i] = vars.back();
    }
  if (vars.empty()) {
    vars.push_back(var("r"));
    extents.push_back(1);
  }
  if (dims.empty())
    fail("a reduction over no dimension");
  // A dimension of size 1 would be a reduction variable that nothing uses.
  Halide::Region ranges;
  for (auto dim = dims.rbegin(); dim != dims.rend(); ++dim)
    if (shape[*dim] != 1)
      ranges.push_back(Halide::Range(0, shape[*dim]));
  RDom domain;
  if (!ranges.empty())
    domain = RDom(ranges);
  Index source(rank, Expr(0));
  for (int i = rank - 1, kept = int(outShape.size()) - 1, reduced = 0; i >= 0;
       --i)
    if (!llvm::is_contained(dims, i))
      source[i] = outIndex[kept--];
    else if (shape[i] != 1)
      source[i] = domain[reduced++];
  Func f = func("reduce");
  f(vars) = at(init, outIndex);
  f(vars) = combine(x(source), f(std::vector<Expr>(vars.begin(), vars.end())));
  for (auto [v, extent] : llvm::zip(vars, extents))
    f.bound(v, 0, extent);
  int64_t bytes = elementsOf(outShape) * halideType(input.getType()).bytes();
  if (!reserveStack(bytes))
    fail("a reduction's result is too large for the stack");
  f.compute_root().store_in(kOnStack);
  vectorizeInner(f, vars[0], extents[0], TailStrategy::ShiftInwards);
  // The reduction runs inside of the vector: the accumulator is a register.
  std::vector<VarOrRVar> order;
  Var outer = var("ro"), inner = var("ri");
  int width = std::min(machine.lanes, powerOfTwoBelow(extents[0]));
  Halide::Stage update = f.update();
  update.split(vars[0], outer, inner, width, TailStrategy::GuardWithIf);
  order.push_back(inner);
  for (size_t i = 0; i < ranges.size(); ++i)
    order.push_back(domain[i]);
  order.push_back(outer);
  for (size_t i = 1; i < vars.size(); ++i)
    order.push_back(vars[i]);
  update.reorder(order);
  if (width > 1)
    update.vectorize(inner);
  return f;
}
