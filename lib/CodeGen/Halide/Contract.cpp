// SPDX-License-Identifier: Apache-2.0
// Sums of products: linalg.contract, and ssm.linear inside of larger kernels.
//
// The accumulator is a Func of its own, computed for one register tile of its
// host at a time, with the reduction innermost around the tile: it never
// leaves the registers. The host is the kernel's result where that is all the
// kernel does, otherwise a copy on the stack.

#include "Builder.h"

using namespace itera;
using namespace itera::halide;

struct KernelBuilder::Product {
  Shape shape;
  Shape reduction; // outermost first
  std::function<Expr(const Index &)> init;
  /// The two factors at an index of the result and of the reduction.
  std::function<Expr(const Index &, const Index &)> left, right;

  Func accumulator;
  std::vector<Var> vars; // innermost first, no unit dimensions
  std::vector<int> extents;
  RDom domain;
  /// A result of the kernel will be the host.
  bool direct = false;
};

KernelBuilder::KernelBuilder(mlir::func::FuncOp function,
                             const Machine &machine)
    : function(function), machine(machine) {}
KernelBuilder::~KernelBuilder() = default;

std::function<Expr(const Index &)>
KernelBuilder::contiguousIn(mlir::Value operand, int dim) {
  Shape shape = shapeOf(operand);
  int innermost = -1;
  for (int i = 0; i < int(shape.size()); ++i)
    if (shape[i] != 1)
      innermost = i;
  int64_t bytes = elementsOf(shape) * halideType(operand.getType()).bytes();
  if (innermost == dim || innermost < 0 || !reserveStack(bytes))
    return reader(operand);
  // A copy with `dim` innermost.
  std::vector<Var> vars{var("t")};
  std::vector<int> dims{dim};
  for (int i = int(shape.size()) - 1; i >= 0; --i)
    if (i != dim) {
      vars.push_back(var("t"));
      dims.push_back(i);
    }
  Index index(shape.size(), Expr(0));
  for (auto [v, d] : llvm::zip(vars, dims))
    index[d] = v;
  auto source = reader(operand);
  Func copy = func("transposed");
  copy(vars) = source(index);
  for (auto [v, d] : llvm::zip(vars, dims))
    copy.bound(v, 0, shape[d]);
  copy.compute_root().store_in(kOnStack);
  return [copy, dims](const Index &index) {
    std::vector<Expr> at;
    for (int d : dims)
      at.push_back(index[d]);
    return copy(at);
  };
}

Func KernelBuilder::buildProduct(Product product) {
  Index index(product.shape.size(), Expr(0));
  for (int i = int(product.shape.size()) - 1; i >= 0; --i)
    if (product.shape[i] != 1) {
      product.vars.push_back(var("p"));
      product.extents.push_back(product.shape[i]);
      index[i] = product.vars.back();
    }
  if (product.vars.empty()) {
    product.vars.push_back(var("p"));
    product.extents.push_back(1);
  }
  // A dimension of size 1 would be a reduction variable that nothing uses.
  Halide::Region ranges;
  for (auto extent = product.reduction.rbegin();
       extent != product.reduction.rend(); ++extent)
    if (*extent != 1)
      ranges.push_back(Halide::Range(0, *extent));
  if (!ranges.empty())
    product.domain = RDom(ranges);
  Index reduced(product.reduction.size(), Expr(0));
  int next = 0;
  for (int i = int(product.reduction.size()) - 1; i >= 0; --i)
    if (product.reduction[i] != 1)
      reduced[i] = product.domain[next++];
  Func f = func("product");
  std::vector<Expr> at(product.vars.begin(), product.vars.end());
  f(product.vars) = product.init(index);
  Halide::Type type = f.value().type();
  f(product.vars) = fma(cast(type, product.left(index, reduced)),
                        cast(type, product.right(index, reduced)), f(at));
  product.accumulator = f;
  if (product.direct) {
    products.push_back(product);
    return f;
  }
  if (!reserveStack(elementsOf(product.shape) * type.bytes()))
    fail("a contraction's result is too large for the stack");
  Func host = func("host");
  host(product.vars) = f(at);
  for (auto [v, extent] : llvm::zip(product.vars, product.extents))
    host.bound(v, 0, extent);
  host.compute_root().store_in(kOnStack);
  tileProduct(product, host, product.vars, product.extents);
  return host;
}

/// Everything that needs storage or a schedule of its own.
static bool isAnchor(mlir::Operation *op) {
  return mlir::isa<ssm::LinearOp, ssm::HadamardOp, ssm::NormOp,
                   ssm::SelectiveScanOp, ssm::LinearRecurrenceOp,
                   ssm::CausalConv1dOp, mlir::linalg::SoftmaxOp, mlir::linalg::ReduceOp,
                   mlir::linalg::ContractOp>(op);
}

/// True when each element of each result needs one element of the product, at
/// the same index.
bool KernelBuilder::isDirect(mlir::Operation *product) {
  llvm::DenseSet<mlir::Operation *> dependent{product};
  Shape shape = shapeOf(product->getResult(0));
  for (mlir::Operation &op : function.getBody().front()) {
    if (&op != product && isAnchor(&op))
      return false;
    bool depends = llvm::any_of(op.getOperands(), [&](mlir::Value v) {
      return dependent.contains(v.getDefiningOp());
    });
    if (mlir::isa<mlir::func::ReturnOp>(op))
      return llvm::all_of(op.getOperands(), [&](mlir::Value v) {
        return dependent.contains(v.getDefiningOp()) && shapeOf(v) == shape;
      });
    if (depends && !isElementwise(&op))
      return false;
    if (depends)
      dependent.insert(&op);
  }
  return false;
}

Func KernelBuilder::buildContract(mlir::linalg::ContractOp op) {
  llvm::SmallVector<mlir::AffineMap> maps = op.getIndexingMapsArray();
  int count = maps[0].getNumDims();
  std::vector<int> outPosition(count, -1), reductionPosition(count, -1);
  auto dimsOf = [&](mlir::AffineMap map) {
    std::vector<int> dims;
    for (mlir::AffineExpr e : map.getResults()) {
      auto dim = mlir::dyn_cast<mlir::AffineDimExpr>(e);
      if (!dim)
        fail("a contraction with indices other than plain dimensions");
      dims.push_back(dim.getPosition());
    }
    return dims;
  };
  std::vector<int> left = dimsOf(maps[0]), right = dimsOf(maps[1]),
                   out = dimsOf(maps[2]);
  for (auto [i, d] : llvm::enumerate(out))
    outPosition[d] = i;
  Product product;
  product.direct = isDirect(op);
  product.shape = shapeOf(op.getResult(0));
  mlir::Value a = op.getInputs()[0], b = op.getInputs()[1];
  Shape aShape = shapeOf(a), bShape = shapeOf(b);
  for (int d = 0; d < count; ++d) {
    if (outPosition[d] >= 0)
      continue;
    reductionPosition[d] = product.reduction.size();
    auto it = llvm::find(left, d);
    product.reduction.push_back(
        it != left.end() ? aShape[it - left.begin()]
                         : bShape[llvm::find(right, d) - right.begin()]);
  }
  int inner = -1;
  for (auto [i, d] : llvm::enumerate(out))
    if (product.shape[i] != 1)
      inner = d;
  auto factor = [&](mlir::Value operand, std::vector<int> dims) {
    auto it = llvm::find(dims, inner);
    auto read = it != dims.end() ? contiguousIn(operand, it - dims.begin())
                                 : reader(operand);
    return [=](const Index &index, const Index &reduced) {
      Index source;
      for (int d : dims)
        source.push_back(outPosition[d] >= 0 ? index[outPosition[d]]
                                             : reduced[reductionPosition[d]]);
      return read(source);
    };
  };
  product.left = factor(a, left);
  product.right = factor(b, right);
  product.init = [&](const Index &index) {
    return at(op.getOutputs()[0], index);
  };
  return buildProduct(product);
}

Func KernelBuilder::buildLinear(ssm::LinearOp op) {
  Product product;
  product.direct = isDirect(op);
  product.shape = shapeOf(op.getY());
  Shape weight = shapeOf(op.getWeight());
  product.reduction = {weight[1]};
  auto x = reader(op.getX());
  product.left = [=](const Index &index, const Index &k) {
    Index source = index;
    source.back() = k[0];
    return x(source);
  };
  if (weight.size() == 3) {
    int rows = weight[2];
    mlir::Value w = op.getWeight();
    product.right = [=](const Index &index, const Index &k) {
      return at(w, {index.back() / rows, k[0], index.back() % rows});
    };
  } else {
    auto w = contiguousIn(op.getWeight(), 0);
    product.right = [=](const Index &index, const Index &k) {
      return w({index.back(), k[0]});
    };
  }
  product.init = [&](const Index &index) {
    return Halide::Internal::make_zero(halideType(op.getY().getType()));
  };
  return buildProduct(product);
}

void KernelBuilder::tileProduct(Product &product, Func host,
                                const std::vector<Var> &vars,
                                const std::vector<int> &extents) {
  int width = std::min(machine.lanes, powerOfTwoBelow(extents[0]));
  int vectors = extents[0] >= 2 * width && machine.lanes == width ? 2 : 1;
  int rows = vars.size() > 1
                 ? std::min(extents[1], machine.registers / (4 * vectors))
                 : 1;
  Var outer = var("no"), inner = var("ni");
  std::vector<VarOrRVar> order{inner};
  host.split(vars[0], outer, inner, width * vectors,
             TailStrategy::ShiftInwards);
  Var rowOuter = var("mo"), rowInner = var("mi");
  if (rows > 1) {
    host.split(vars[1], rowOuter, rowInner, rows, TailStrategy::ShiftInwards);
    order.push_back(rowInner);
    order.push_back(outer);
    order.push_back(rowOuter);
  } else {
    order.push_back(outer);
    if (vars.size() > 1)
      order.push_back(vars[1]);
  }
  for (size_t i = 2; i < vars.size(); ++i)
    order.push_back(vars[i]);
  host.reorder(order);
  if (rows > 1)
    host.unroll(rowInner);
  if (width > 1)
    host.vectorize(inner, width);

  Func f = product.accumulator;
  f.compute_at(host, outer).store_in(kOnStack);
  if (width > 1)
    f.vectorize(product.vars[0], width);
  Halide::Stage update = f.update();
  std::vector<VarOrRVar> updateOrder;
  Var wide = var("wo"), lane = var("wi");
  update.split(product.vars[0], wide, lane, width);
  updateOrder = {lane, wide};
  for (size_t i = 1; i < product.vars.size(); ++i)
    updateOrder.push_back(product.vars[i]);
  for (int i = 0; product.domain.defined() && i < product.domain.dimensions();
       ++i)
    updateOrder.push_back(product.domain[i]);
  update.reorder(updateOrder);
  if (width > 1)
    update.vectorize(lane);
  if (vectors > 1)
    update.unroll(wide);
  if (rows > 1)
    update.unroll(product.vars[1]);
}

void KernelBuilder::scheduleProducts(Func out, const std::vector<Var> &vars,
                                     const std::vector<int> &extents) {
  for (Product &product : products)
    tileProduct(product, out, vars, extents);
}
