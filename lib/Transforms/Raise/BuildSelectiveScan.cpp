// SPDX-License-Identifier: Apache-2.0
// From a form to ssm.selective_scan.
//
// The axes along which the root has its dimensions before time are the batch,
// its other free axes the channels, what it lacks the state dimension. Values
// are brought to these three by relayout, whatever their own order is. Channels
// along which B or C vary come first: they are the groups.

#include "ScanFormBuilder.h"

#include "FuseSelectiveScan.h"
#include "Match.h"
#include "Relayout.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
using namespace itera;
using namespace itera::raise;

static bool isSubset(ArrayRef<int> part, ArrayRef<int> whole) {
  return llvm::all_of(
      part, [&](int axis) { return llvm::is_contained(whole, axis); });
}

static bool meets(ArrayRef<int> a, ArrayRef<int> b) {
  return llvm::any_of(a, [&](int axis) { return llvm::is_contained(b, axis); });
}

namespace {

class SelectiveScanBuilder : ScanFormBuilder {
public:
  using ScanFormBuilder::ScanFormBuilder;
  bool run();

private:
  void takeSkip();
  bool factorDecay();
  bool divide(Value product, Value wanted, SmallVectorImpl<Value> &rest);
  bool divideInjections();
  bool nameAxes();
  Value multiply(ArrayRef<Value> factors, ArrayRef<AxisList> to);
  Value multiplyFrames(ArrayRef<Value> factors, ArrayRef<AxisList> to);
  void build();

  // The products.
  SmallVector<Value> a, dt, x, b, c;
  double scaleA = 1;
  /// D of a skip.
  Value skip;
  AxisList batch, group, channel, state;
};

} // namespace

//===----------------------------------------------------------------------===//
// Factors
//===----------------------------------------------------------------------===//

/// exp(dt * A): A is what does not vary with time.
bool SelectiveScanBuilder::factorDecay() {
  SmallVector<Value> work{form.decay.value};
  while (!work.empty()) {
    Value value = strip(work.pop_back_val());
    if (std::optional<double> number = matchSplat(value)) {
      scaleA *= *number;
      continue;
    }
    if (!varies(value)) {
      a.push_back(value);
      continue;
    }
    Operation *op = value.getDefiningOp();
    if (isa_and_present<arith::NegFOp>(op) && axes.relate(op)) {
      scaleA = -scaleA;
      work.push_back(op->getOperand(0));
      continue;
    }
    auto isFixed = [&](Value factor) {
      factor = strip(factor);
      return matchSplat(factor) || !varies(factor);
    };
    if (isa_and_present<arith::MulFOp>(op) && axes.relate(op) &&
        llvm::any_of(op->getOperands(), isFixed)) {
      work.append(op->operand_begin(), op->operand_end());
      continue;
    }
    dt.push_back(value);
  }
  return !dt.empty();
}

/// What is left of a product without one factor; takes apart no more than it
/// must.
bool SelectiveScanBuilder::divide(Value product, Value wanted,
                                  SmallVectorImpl<Value> &rest) {
  Value value = strip(product);
  if (value == wanted)
    return true;
  auto mul = value.getDefiningOp<arith::MulFOp>();
  if (!mul || !axes.relate(mul))
    return false;
  for (unsigned k : {0u, 1u})
    if (divide(mul->getOperand(k), wanted, rest)) {
      rest.push_back(mul->getOperand(1 - k));
      return true;
    }
  return false;
}

/// dt is a factor of what is added; the others are x and B.
bool SelectiveScanBuilder::divideInjections() {
  SmallVector<Value> factors;
  for (const FormValue &value : form.injections)
    factors.push_back(value.value);
  for (Value wanted : dt) {
    bool found = false;
    for (unsigned k = 0; k < factors.size() && !found; ++k) {
      SmallVector<Value> rest;
      if (!divide(factors[k], wanted, rest))
        continue;
      factors.erase(factors.begin() + k);
      factors.append(rest);
      found = true;
    }
    if (!found)
      return false;
  }
  refresh();
  AxisList summed = form.summedAxes();
  for (Value factor : factors)
    (meets(axes.flat(factor), summed) ? b : x).push_back(factor);
  for (const FormValue &readout : form.readouts)
    c.push_back(readout.value);
  return !x.empty() && !b.empty() && !c.empty();
}

/// Takes in a skip: D * x added to the root, for the form's x.
void SelectiveScanBuilder::takeSkip() {
  if (!root.hasOneUse() || x.size() != 1)
    return;
  auto add = dyn_cast<arith::AddFOp>(*root.user_begin());
  if (!add || add->getBlock() != root.getParentBlock() ||
      add.getLhs() == add.getRhs() || !axes.relate(add))
    return;
  Value other = strip(add.getLhs() == root ? add.getRhs() : add.getLhs());
  auto product = other.getDefiningOp<arith::MulFOp>();
  if (!product || !axes.relate(product))
    return;
  Value wanted = strip(x[0]);
  for (unsigned k : {0u, 1u}) {
    Value factor = strip(product->getOperand(k));
    Value d = strip(product->getOperand(1 - k));
    if (factor != wanted || varies(d) ||
        !isSubset(axes.flat(d), axes.table.resolve(channel)))
      continue;
    skip = d;
    root = add.getResult();
    slideDown();
    return;
  }
}

//===----------------------------------------------------------------------===//
// Axes
//===----------------------------------------------------------------------===//

/// Names the axes; false if a factor of a selective scan has one too many.
bool SelectiveScanBuilder::nameAxes() {
  batch.clear(), group.clear(), channel.clear();
  refresh();
  state = form.summedAxes();
  auto has = [&](ArrayRef<Value> factors, int axis) {
    return llvm::any_of(factors, [&](Value factor) {
      return llvm::is_contained(axes.flat(factor), axis);
    });
  };
  bool beforeTime = true;
  AxisList single;
  for (int axis : axes.flat(root)) {
    if (axes.table.isPinned(axis))
      beforeTime = false;
    else if (beforeTime && !has(a, axis) && has(x, axis) && has(b, axis) &&
             has(c, axis))
      batch.push_back(axis);
    else if (has(b, axis) || has(c, axis))
      group.push_back(axis);
    else
      single.push_back(axis);
  }
  channel = group;
  channel.append(single);
  AxisList bd = batch, bn = batch, dn = channel, bdn = batch;
  bd.append(channel);
  bn.append(group), bn.append(state);
  dn.append(state);
  bdn.append(dn);
  auto fit = [&](ArrayRef<Value> factors, ArrayRef<int> allowed) {
    return llvm::all_of(factors, [&](Value factor) {
      return isSubset(look(factor).free, allowed);
    });
  };
  return !state.empty() && fit(x, bd) && fit(dt, bd) && fit(a, dn) &&
         fit(b, bn) && fit(c, bn) &&
         (!form.init || isSubset(form.init->free, bdn)) &&
         llvm::all_of(c, [&](Value factor) {
           return isSubset(state, look(factor).free);
         });
}

//===----------------------------------------------------------------------===//
// Ops
//===----------------------------------------------------------------------===//

Value SelectiveScanBuilder::multiply(ArrayRef<Value> factors,
                                     ArrayRef<AxisList> to) {
  Value product;
  for (Value factor : factors) {
    Value value = arrange(factor, to);
    product =
        product
            ? arith::MulFOp::create(builder, loc, product, value).getResult()
            : value;
  }
  return product;
}

/// The product of values that vary with time, as dimensions batch, time, `to`.
/// Time is each value's own: after a pad, it is another axis than before.
Value SelectiveScanBuilder::multiplyFrames(ArrayRef<Value> factors,
                                           ArrayRef<AxisList> to) {
  Value product;
  for (Value factor : factors) {
    AxisList time = look(factor).time;
    SmallVector<AxisList> whole{batch, time.empty() ? form.decay.time : time};
    whole.append(to.begin(), to.end());
    Value value = arrange(factor, whole);
    product =
        product
            ? arith::MulFOp::create(builder, loc, product, value).getResult()
            : value;
  }
  return product;
}

void SelectiveScanBuilder::build() {
  SmallVector<Value> read;
  for (const SmallVector<Value> *factors : {&a, &dt, &x, &b, &c})
    read.append(*factors);
  if (form.init)
    read.push_back(form.init->value);
  if (skip)
    read.push_back(skip);
  moveAfter(read);

  // The decay of a channel may be the same for all its states.
  SmallVector<AxisList> aAxes{channel}, bAxes, hAxes{batch, channel, state};
  if (llvm::any_of(
          a, [&](Value factor) { return meets(axes.flat(factor), state); }))
    aAxes.push_back(state);
  Value av = multiply(a, aAxes);
  if (!av || scaleA != 1) {
    RankedTensorType type =
        typeOf(form.root.value)
            .clone(llvm::map_to_vector(aAxes, [&](const AxisList &list) {
              return axes.table.sizeOf(list);
            }));
    Value scale = arith::ConstantOp::create(
        builder, loc,
        DenseElementsAttr::get(
            type, builder.getFloatAttr(type.getElementType(), scaleA)));
    av =
        av ? arith::MulFOp::create(builder, loc, av, scale).getResult() : scale;
  }
  if (!group.empty())
    bAxes.push_back(group);
  bAxes.push_back(state);
  Value xv = multiplyFrames(x, {channel}), dtv = multiplyFrames(dt, {channel});
  Value bv = multiplyFrames(b, bAxes), cv = multiplyFrames(c, bAxes);
  Value init, d;
  if (form.init) {
    init = arrange(form.init->value, hAxes);
  } else {
    SmallVector<int64_t> shape;
    for (const AxisList &list : hAxes)
      shape.push_back(axes.table.sizeOf(list));
    init = arith::ConstantOp::create(
        builder, loc, builder.getZeroAttr(typeOf(xv).clone(shape)));
  }
  if (skip)
    d = arrange(skip, {channel});
  auto op = ssm::SelectiveScanOp::create(builder, loc, xv, dtv, av, bv, cv,
                                         init, d, Value(), false);
  replace(op.getY(), {batch, form.decay.time, channel}, op.getLast(), hAxes);
  fuseSkipAndGate(op);
}

bool SelectiveScanBuilder::run() {
  if (!factorDecay() || !divideInjections() || !nameAxes())
    return false;
  slideDown();
  takeSkip();
  // Once more, as the ops below may have split axes.
  form.root.value = root;
  if (!nameAxes() || !isConsistent)
    return false;
  build();
  return true;
}

bool itera::raise::buildSelectiveScan(const ScanForm &form,
                                      ArrayRef<Value> lasts, RegionAxes &axes) {
  RegionAxes before = axes;
  if (SelectiveScanBuilder(form, lasts, axes).run())
    return true;
  axes = std::move(before);
  return false;
}
