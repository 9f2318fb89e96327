// SPDX-License-Identifier: Apache-2.0
// From a form to ssm.scan.
//
// Axes that occur in the same values are one dimension of the state and of the
// body's values: a unit. All values have their units in one order, time comes
// first in sequences.

#include "ScanFormBuilder.h"

#include "Match.h"
#include "Relayout.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace itera;
using namespace itera::raise;

namespace {

/// Numbers of units, in ascending order.
using Units = SmallVector<unsigned>;

class PlainScanBuilder : ScanFormBuilder {
public:
  using ScanFormBuilder::ScanFormBuilder;
  void run();

private:
  void findUnits();
  Units unitsOf(const AxisList &some);
  SmallVector<AxisList> axesOf(const Units &numbers);
  RankedTensorType typeFor(const Units &numbers);
  Value widen(Value value, const Units &from, const Units &to);
  Value zeros(RankedTensorType type);
  Value contract(Value lhs, const Units &left, Value rhs, const Units &right,
                 const Units &to);
  Value sum(Value value, const Units &from, const Units &to);
  void buildBody(Block *body);

  /// The decay, the injections, the readouts.
  SmallVector<FormValue> values;
  SmallVector<AxisList> units;
  Units state, out;
};

} // namespace

void PlainScanBuilder::findUnits() {
  values = {form.decay};
  values.append(form.injections);
  values.append(form.readouts);
  SmallVector<FormValue> all(values);
  all.push_back(form.root);
  if (form.init)
    all.push_back(*form.init);
  AxisList order;
  auto add = [&](const FormValue &value) {
    for (int axis : value.free)
      if (!llvm::is_contained(order, axis))
        order.push_back(axis);
  };
  add(form.root);
  llvm::for_each(all, add);
  auto occursWith = [&](int a, int b) {
    return llvm::all_of(all, [&](const FormValue &value) {
      return llvm::is_contained(value.free, a) ==
             llvm::is_contained(value.free, b);
    });
  };
  for (int axis : order) {
    if (!units.empty() && occursWith(units.back().back(), axis))
      units.back().push_back(axis);
    else
      units.push_back({axis});
  }
  state = unitsOf(form.stateAxes());
  out = unitsOf(form.root.free);
}

Units PlainScanBuilder::unitsOf(const AxisList &some) {
  Units result;
  for (auto [k, unit] : llvm::enumerate(units))
    if (llvm::is_contained(some, unit[0]))
      result.push_back(k);
  return result;
}

SmallVector<AxisList> PlainScanBuilder::axesOf(const Units &numbers) {
  return llvm::map_to_vector(numbers, [&](unsigned k) { return units[k]; });
}

RankedTensorType PlainScanBuilder::typeFor(const Units &numbers) {
  SmallVector<int64_t> shape;
  for (unsigned k : numbers)
    shape.push_back(axes.table.sizeOf(units[k]));
  return typeOf(root).clone(shape);
}

/// `value` of the units `from`, broadcast to `to`.
Value PlainScanBuilder::widen(Value value, const Units &from, const Units &to) {
  SmallVector<int64_t> missing;
  for (auto [d, unit] : llvm::enumerate(to))
    if (!llvm::is_contained(from, unit))
      missing.push_back(d);
  if (missing.empty())
    return value;
  RankedTensorType type = typeFor(to);
  Value empty = tensor::EmptyOp::create(builder, loc, type.getShape(),
                                        type.getElementType());
  return linalg::BroadcastOp::create(builder, loc, value, empty, missing)
      ->getResult(0);
}

Value PlainScanBuilder::zeros(RankedTensorType type) {
  Value zero = arith::ConstantOp::create(
      builder, loc, builder.getZeroAttr(type.getElementType()));
  Value empty = tensor::EmptyOp::create(builder, loc, type.getShape(),
                                        type.getElementType());
  return linalg::FillOp::create(builder, loc, zero, empty).getResult(0);
}

/// The product of two values, summed over what `to` lacks.
Value PlainScanBuilder::contract(Value lhs, const Units &left, Value rhs,
                                 const Units &right, const Units &to) {
  Units loops(left);
  for (unsigned unit : right)
    if (!llvm::is_contained(loops, unit))
      loops.push_back(unit);
  auto mapOf = [&](const Units &numbers) {
    SmallVector<AffineExpr> exprs;
    for (unsigned unit : numbers)
      exprs.push_back(
          builder.getAffineDimExpr(llvm::find(loops, unit) - loops.begin()));
    return AffineMapAttr::get(
        AffineMap::get(loops.size(), 0, exprs, builder.getContext()));
  };
  RankedTensorType type = typeFor(to);
  return linalg::ContractOp::create(
             builder, loc, TypeRange(type), ValueRange{lhs, rhs},
             ValueRange(zeros(type)),
             builder.getArrayAttr({mapOf(left), mapOf(right), mapOf(to)}))
      .getResult(0);
}

/// The sum over what `to` lacks.
Value PlainScanBuilder::sum(Value value, const Units &from, const Units &to) {
  SmallVector<int64_t> dims;
  for (auto [d, unit] : llvm::enumerate(from))
    if (!llvm::is_contained(to, unit))
      dims.push_back(d);
  if (dims.empty())
    return value;
  return linalg::ReduceOp::create(builder, loc, ValueRange(value),
                                  ValueRange(zeros(typeFor(to))), dims,
                                  [](OpBuilder &b, Location loc, ValueRange v) {
                                    Value sum = arith::AddFOp::create(
                                        b, loc, v[0], v[1]);
                                    linalg::YieldOp::create(b, loc, sum);
                                  })
      .getResult(0);
}

void PlainScanBuilder::buildBody(Block *body) {
  Value h = body->addArgument(typeFor(state), loc);
  SmallVector<Units> own;
  for (const FormValue &value : values) {
    own.push_back(unitsOf(value.free));
    body->addArgument(typeFor(own.back()), loc);
  }
  auto slice = [&](unsigned k) -> Value { return body->getArgument(k + 1); };

  unsigned numInjections = form.injections.size();
  Value added;
  for (unsigned k = 1; k <= numInjections; ++k) {
    Value factor = widen(slice(k), own[k], state);
    added = added
                ? arith::MulFOp::create(builder, loc, added, factor).getResult()
                : factor;
  }
  Value decay =
      math::ExpOp::create(builder, loc, widen(slice(0), own[0], state));
  Value next = arith::AddFOp::create(
      builder, loc, arith::MulFOp::create(builder, loc, decay, h), added);
  // All readouts but the last only multiply, and so does that if there is
  // nothing to sum over.
  Value y = next;
  Units from = state;
  for (unsigned k = numInjections + 1; k < values.size(); ++k) {
    Units to = from;
    for (unsigned unit : own[k])
      if (!llvm::is_contained(to, unit))
        to.push_back(unit);
    llvm::sort(to);
    if (k + 1 == values.size() && to != out) {
      y = contract(y, from, slice(k), own[k], out);
      to = out;
    } else {
      y = arith::MulFOp::create(builder, loc, widen(y, from, to),
                                widen(slice(k), own[k], to));
    }
    from = to;
  }
  y = sum(y, from, out);
  ssm::YieldOp::create(builder, loc, ValueRange{next, y});
}

void PlainScanBuilder::run() {
  slideDown();
  form.root.value = root;
  refresh();
  findUnits();
  SmallVector<Value> read;
  for (const FormValue &value : values)
    read.push_back(value.value);
  if (form.init)
    read.push_back(form.init->value);
  moveAfter(read);

  SmallVector<Value> sequences;
  for (const FormValue &value : values) {
    SmallVector<AxisList> to{value.time};
    to.append(axesOf(unitsOf(value.free)));
    sequences.push_back(arrange(value.value, to));
  }
  Value init =
      form.init ? arrange(form.init->value, axesOf(state))
                : arith::ConstantOp::create(builder, loc,
                                            builder.getZeroAttr(typeFor(state)))
                      .getResult();
  int64_t frames = axes.table.sizeOf(form.decay.time);
  auto scan = ssm::ScanOp::create(
      builder, loc, TypeRange{typeFor(state), withDim(typeFor(out), 0, frames)},
      ValueRange(init), sequences, frames,
      SmallVector<int64_t>(sequences.size(), 0), ArrayRef<int64_t>{0}, false);
  {
    OpBuilder::InsertionGuard guard(builder);
    buildBody(builder.createBlock(&scan.getBody()));
  }
  builder.setInsertionPointAfter(scan);
  SmallVector<AxisList> yAxes{form.decay.time};
  yAxes.append(axesOf(out));
  replace(scan.getResult(1), yAxes, scan.getResult(0), axesOf(state));
}

void itera::raise::buildScan(const ScanForm &form, ArrayRef<Value> lasts,
                             RegionAxes &axes) {
  PlainScanBuilder(form, lasts, axes).run();
}
