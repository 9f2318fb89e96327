// SPDX-License-Identifier: Apache-2.0
// From a form to ops.
//
// The axes along which the root has its dimensions before time are the batch,
// its other free axes the channels, what it lacks the state dimension. Values
// are brought to these three by relayout, whatever their own order is.

#include "BuildScanForm.h"

#include "FuseSelectiveScan.h"
#include "Match.h"
#include "Relayout.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace itera;
using namespace itera::raise;

static bool isSubset(ArrayRef<int> part, ArrayRef<int> whole) {
  return llvm::all_of(part,
                      [&](int axis) { return llvm::is_contained(whole, axis); });
}

static bool meets(ArrayRef<int> a, ArrayRef<int> b) {
  return llvm::any_of(a, [&](int axis) { return llvm::is_contained(b, axis); });
}

namespace {

class FormBuilder {
public:
  FormBuilder(const ScanForm &form, ArrayRef<Value> lasts, RegionAxes &axes)
      : form(form), lasts(lasts), axes(axes), root(form.root.value),
        loc(root.getLoc()), builder(root.getContext()) {}

  void run();

private:
  /// What a value's axes are by now: ops that are related later may split
  /// them, or make two of them one if the value is used in two ways.
  FormValue look(Value value) {
    std::optional<FormValue> found = makeFormValue(value, axes);
    isConsistent &= found.has_value();
    return found ? *found : FormValue{value, {}, {}};
  }
  void refresh() {
    for (FormValue *value : {&form.root, &form.decay})
      *value = look(value->value);
    for (SmallVector<FormValue> *list : {&form.injections, &form.readouts})
      for (FormValue &value : *list)
        value = look(value.value);
    if (form.init)
      form.init = look(form.init->value);
  }
  bool varies(Value value) {
    return llvm::any_of(axes.flat(value),
                        [&](int axis) { return axes.table.isPinned(axis); });
  }
  /// The value below views, which are related.
  Value strip(Value value);
  void slideDown();
  void takeSkip();
  bool factorDecay();
  bool divide(Value product, Value wanted, SmallVectorImpl<Value> &rest);
  bool divideInjections();
  bool nameAxes();

  Value arrange(Value value, ArrayRef<AxisList> to);
  /// The product of `factors` with time as dimension one of three: `first`,
  /// time, and for each list of `rest` one.
  Value multiply(ArrayRef<Value> factors, ArrayRef<int> first,
                 ArrayRef<AxisList> rest);
  void moveAfter(ArrayRef<Value> values);
  void replace(Value y, ArrayRef<AxisList> yAxes, Value last,
               ArrayRef<AxisList> lastAxes);
  bool buildSelectiveScan();
  void buildScan();

  ScanForm form;
  ArrayRef<Value> lasts;
  RegionAxes &axes;
  bool isConsistent = true;
  Value root;
  Location loc;
  OpBuilder builder;

  // The products of a selective scan.
  SmallVector<Value> a, dt, x, b, c;
  bool negateA = false;
  Value skip;
  AxisList batch, group, channel, state;
};

} // namespace

//===----------------------------------------------------------------------===//
// Looking around
//===----------------------------------------------------------------------===//

Value FormBuilder::strip(Value value) {
  SmallVector<Operation *> ops;
  Value base = stripViews(value, /*throughPads=*/false, &ops);
  for (Operation *op : ops)
    if (!axes.relate(op))
      return value;
  return base;
}

/// Whether a slice takes the first frames of what has axes `of`.
static bool takesFirstFrames(tensor::ExtractSliceOp slice, ArrayRef<AxisList> of,
                             const AxisTable &table) {
  if (!slice.hasUnitStride() || slice.getDroppedDims().any())
    return false;
  for (auto [d, list] : llvm::enumerate(of)) {
    if (slice.getStaticOffsets()[d] != 0)
      return false;
    bool isTime = llvm::all_of(list, [&](int axis) { return table.isPinned(axis); });
    if (!isTime && slice.getStaticSizes()[d] != slice.getSourceType().getDimSize(d))
      return false;
  }
  return true;
}

/// Moves the root below the views that alone read it.
void FormBuilder::slideDown() {
  while (root.hasOneUse()) {
    Operation *user = *root.user_begin();
    auto slice = dyn_cast<tensor::ExtractSliceOp>(user);
    // Time must be one dimension for a slice of it to be its first frames.
    bool isSlice = slice && takesFirstFrames(slice, axes.of(root), axes.table) &&
                   llvm::count_if(axes.of(root), [&](const AxisList &list) {
                     return !list.empty() && axes.table.isPinned(list[0]);
                   }) == 1;
    if (!isSlice &&
        !isa<linalg::TransposeOp, tensor::ExpandShapeOp, tensor::CollapseShapeOp>(
            user))
      return;
    if (user->getOperand(0) != root || !isRegionOp(user) || !axes.relate(user))
      return;
    root = user->getResult(0);
  }
}

/// Takes in a skip: D * x added to the root, for the form's x.
void FormBuilder::takeSkip() {
  if (!root.hasOneUse() || x.size() != 1)
    return;
  auto add = dyn_cast<arith::AddFOp>(*root.user_begin());
  if (!add || add.getLhs() == add.getRhs() || !axes.relate(add))
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

/// exp(dt * A): A is what does not vary with time.
bool FormBuilder::factorDecay() {
  SmallVector<Value> work{form.decay.value};
  while (!work.empty()) {
    Value value = strip(work.pop_back_val());
    if (!varies(value)) {
      a.push_back(value);
      continue;
    }
    Operation *op = value.getDefiningOp();
    if (isa_and_present<arith::NegFOp>(op) && axes.relate(op)) {
      negateA = !negateA;
      work.push_back(op->getOperand(0));
      continue;
    }
    if (isa_and_present<arith::MulFOp>(op) && axes.relate(op) &&
        llvm::any_of(op->getOperands(),
                     [&](Value factor) { return !varies(strip(factor)); })) {
      work.append(op->operand_begin(), op->operand_end());
      continue;
    }
    dt.push_back(value);
  }
  return !a.empty() && !dt.empty();
}

/// What is left of a product without one factor; takes apart no more than it
/// must.
bool FormBuilder::divide(Value product, Value wanted, SmallVectorImpl<Value> &rest) {
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
bool FormBuilder::divideInjections() {
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

//===----------------------------------------------------------------------===//
// Axes
//===----------------------------------------------------------------------===//

/// Names the axes; false if a factor of a selective scan has one too many.
bool FormBuilder::nameAxes() {
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
  return !state.empty() && fit(x, bd) && fit(dt, bd) && fit(a, dn) && fit(b, bn) &&
         fit(c, bn) && (!form.init || isSubset(form.init->free, bdn)) &&
         llvm::all_of(c, [&](Value factor) {
           return isSubset(state, look(factor).free);
         });
}

Value FormBuilder::arrange(Value value, ArrayRef<AxisList> to) {
  return relayout(builder, loc, value, axes.of(value), to, axes.table);
}

Value FormBuilder::multiply(ArrayRef<Value> factors, ArrayRef<int> first,
                            ArrayRef<AxisList> rest) {
  Value product;
  for (Value factor : factors) {
    SmallVector<AxisList> to{AxisList(first)};
    to.push_back(look(factor).time);
    to.append(rest.begin(), rest.end());
    Value value;
    if (to[1].empty()) {
      // The same at all times: a frame of its own, made as many as needed.
      to[1] = look(form.decay.value).time;
    }
    value = arrange(factor, to);
    product = product ? arith::MulFOp::create(builder, loc, product, value)
                            .getResult()
                      : value;
  }
  return product;
}

/// Puts new ops behind the last of what they read.
void FormBuilder::moveAfter(ArrayRef<Value> values) {
  Block *block = root.getParentBlock();
  Operation *last = nullptr;
  for (Value value : values) {
    Operation *op = value.getDefiningOp();
    if (op && op->getBlock() == block && (!last || last->isBeforeInBlock(op)))
      last = op;
  }
  if (last)
    builder.setInsertionPointAfter(last);
  else
    builder.setInsertionPointToStart(block);
}

/// Replaces the root, which may leave out frames at the end, and the last
/// states that are read below.
void FormBuilder::replace(Value y, ArrayRef<AxisList> yAxes, Value last,
                          ArrayRef<AxisList> lastAxes) {
  SmallVector<AxisList> from(yAxes);
  FormValue old = look(root);
  int64_t dim = llvm::find_if(from, [&](const AxisList &list) {
                  return list.empty() ? false : axes.table.isPinned(list[0]);
                }) - from.begin();
  RankedTensorType type = typeOf(y);
  int64_t frames = axes.table.sizeOf(old.time);
  if (frames != type.getDimSize(dim)) {
    SmallVector<OpFoldResult> offsets(type.getRank(), builder.getIndexAttr(0));
    SmallVector<OpFoldResult> strides(type.getRank(), builder.getIndexAttr(1));
    SmallVector<OpFoldResult> sizes;
    for (auto [d, size] : llvm::enumerate(type.getShape()))
      sizes.push_back(builder.getIndexAttr(int64_t(d) == dim ? frames : size));
    y = tensor::ExtractSliceOp::create(builder, loc, y, offsets, sizes, strides);
  }
  from[dim] = old.time;
  Operation *end = y.getDefiningOp();
  Value replacement = relayout(builder, loc, y, from, axes.of(root), axes.table);
  root.replaceAllUsesWith(replacement);
  for (Value value : lasts) {
    Block *block = root.getParentBlock();
    if (llvm::any_of(value.getUsers(), [&](Operation *user) {
          Operation *here = block->findAncestorOpInBlock(*user);
          return !here || here->isBeforeInBlock(end);
        }))
      continue;
    value.replaceAllUsesWith(
        relayout(builder, loc, last, lastAxes, axes.of(value), axes.table));
  }
}

//===----------------------------------------------------------------------===//
// Ops
//===----------------------------------------------------------------------===//

bool FormBuilder::buildSelectiveScan() {
  if (!factorDecay() || !divideInjections() || !nameAxes())
    return false;
  slideDown();
  takeSkip();
  // The ops below may have split axes.
  form.root.value = root;
  if (!nameAxes() || !isConsistent)
    return false;

  SmallVector<Value> read;
  for (ArrayRef<Value> factors : {ArrayRef(a), ArrayRef(dt), ArrayRef(x),
                                  ArrayRef(b), ArrayRef(c)})
    read.append(factors.begin(), factors.end());
  if (form.init)
    read.push_back(form.init->value);
  if (skip)
    read.push_back(skip);
  moveAfter(read);

  // The decay of a channel may be the same for all its states.
  bool perState = llvm::any_of(
      a, [&](Value factor) { return meets(axes.flat(factor), state); });
  SmallVector<AxisList> aAxes{channel};
  if (perState)
    aAxes.push_back(state);
  Value av;
  for (Value factor : a) {
    Value value = arrange(factor, aAxes);
    av = av ? arith::MulFOp::create(builder, loc, av, value).getResult() : value;
  }
  if (negateA)
    av = arith::NegFOp::create(builder, loc, av);
  SmallVector<AxisList> bAxes;
  if (!group.empty())
    bAxes.push_back(group);
  bAxes.push_back(state);
  SmallVector<AxisList> lastAxes{batch, channel, state};
  Value xv = multiply(x, batch, {channel}), dtv = multiply(dt, batch, {channel});
  Value bv = multiply(b, batch, bAxes), cv = multiply(c, batch, bAxes);
  Value init, d;
  if (form.init) {
    init = arrange(form.init->value, lastAxes);
  } else {
    auto type = RankedTensorType::get(
        {axes.table.sizeOf(batch), axes.table.sizeOf(channel),
         axes.table.sizeOf(state)},
        typeOf(xv).getElementType());
    init = arith::ConstantOp::create(builder, loc, builder.getZeroAttr(type));
  }
  if (skip)
    d = arrange(skip, {channel});
  auto op = ssm::SelectiveScanOp::create(builder, loc, xv, dtv, av, bv, cv, init, d,
                                         Value(), false);
  replace(op.getY(), {batch, look(form.decay.value).time, channel}, op.getLast(),
          lastAxes);
  fuseSkipAndGate(op);
  return true;
}

/// The state keeps together the axes that always occur together.
void FormBuilder::buildScan() {
  slideDown();
  form.root.value = root;
  refresh();
  SmallVector<FormValue> values{form.decay};
  values.append(form.injections);
  unsigned numInjections = form.injections.size();
  values.append(form.readouts);
  SmallVector<FormValue> all(values);
  all.push_back(form.root);
  if (form.init)
    all.push_back(*form.init);
  AxisList stateAxes = form.stateAxes(), order = form.root.free;
  for (const FormValue &value : all)
    for (int axis : value.free)
      if (!llvm::is_contained(order, axis))
        order.push_back(axis);
  auto readersOf = [&](int axis) {
    return llvm::map_to_vector(all, [&](const FormValue &value) {
      return llvm::is_contained(value.free, axis);
    });
  };
  SmallVector<AxisList> units;
  for (int axis : order) {
    if (!units.empty() && readersOf(units.back().back()) == readersOf(axis))
      units.back().push_back(axis);
    else
      units.push_back({axis});
  }
  auto unitsOf = [&](ArrayRef<int> some) {
    SmallVector<unsigned> result;
    for (auto [k, unit] : llvm::enumerate(units))
      if (llvm::is_contained(some, unit[0]))
        result.push_back(k);
    return result;
  };
  auto axesOf = [&](ArrayRef<unsigned> numbers) {
    return llvm::map_to_vector(numbers, [&](unsigned k) { return units[k]; });
  };

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
  SmallVector<unsigned> state = unitsOf(stateAxes), out = unitsOf(form.root.free);
  auto typeOfUnits = [&](ArrayRef<unsigned> numbers) {
    SmallVector<int64_t> shape;
    for (unsigned k : numbers)
      shape.push_back(axes.table.sizeOf(units[k]));
    return RankedTensorType::get(shape, typeOf(root).getElementType());
  };
  RankedTensorType stateType = typeOfUnits(state), outType = typeOfUnits(out);
  Value init = form.init ? arrange(form.init->value, axesOf(state))
                         : arith::ConstantOp::create(
                               builder, loc, builder.getZeroAttr(stateType))
                               .getResult();
  int64_t frames = axes.table.sizeOf(form.decay.time);
  auto scan = ssm::ScanOp::create(
      builder, loc, TypeRange{stateType, withDim(outType, 0, frames)},
      ValueRange(init), sequences, frames,
      SmallVector<int64_t>(sequences.size(), 0), ArrayRef<int64_t>{0}, false);

  OpBuilder::InsertionGuard guard(builder);
  Block *body = builder.createBlock(&scan.getBody());
  Value h = body->addArgument(stateType, loc);
  SmallVector<SmallVector<unsigned>> unitsOfSlice;
  for (auto [value, sequence] : llvm::zip(values, sequences)) {
    unitsOfSlice.push_back(unitsOf(value.free));
    body->addArgument(typeOfUnits(unitsOfSlice.back()), loc);
  }
  // Slice `k` along `to`; one axis of all units stands for each.
  auto slice = [&](unsigned k, ArrayRef<unsigned> to) -> Value {
    Value value = body->getArgument(k + 1);
    SmallVector<int64_t> missing;
    for (auto [d, unit] : llvm::enumerate(to))
      if (!llvm::is_contained(unitsOfSlice[k], unit))
        missing.push_back(d);
    if (missing.empty())
      return value;
    Value empty = tensor::EmptyOp::create(builder, loc, typeOfUnits(to).getShape(),
                                          typeOf(value).getElementType());
    return linalg::BroadcastOp::create(builder, loc, value, empty, missing)
        ->getResult(0);
  };
  Value decay = math::ExpOp::create(builder, loc, slice(0, state));
  Value added;
  for (unsigned k = 1; k <= numInjections; ++k) {
    Value factor = slice(k, state);
    added = added ? arith::MulFOp::create(builder, loc, added, factor).getResult()
                  : factor;
  }
  Value next = arith::AddFOp::create(
      builder, loc, arith::MulFOp::create(builder, loc, decay, h), added);
  // Of the readouts, all but the contraction's are multiplied first.
  Value y = next;
  SmallVector<unsigned> from = state;
  for (unsigned k = numInjections + 1; k < values.size(); ++k) {
    bool isLast = k + 1 == values.size();
    SmallVector<unsigned> to;
    for (unsigned unit = 0; unit < units.size(); ++unit)
      if (isLast ? llvm::is_contained(out, unit)
                 : llvm::is_contained(from, unit) ||
                       llvm::is_contained(unitsOfSlice[k], unit))
        to.push_back(unit);
    RankedTensorType type = typeOfUnits(to);
    SmallVector<unsigned> loops(from);
    for (unsigned unit : unitsOfSlice[k])
      if (!llvm::is_contained(loops, unit))
        loops.push_back(unit);
    auto mapOf = [&](ArrayRef<unsigned> numbers) {
      SmallVector<AffineExpr> exprs;
      for (unsigned unit : numbers)
        exprs.push_back(
            builder.getAffineDimExpr(llvm::find(loops, unit) - loops.begin()));
      return AffineMapAttr::get(
          AffineMap::get(loops.size(), 0, exprs, builder.getContext()));
    };
    Value zero = arith::ConstantOp::create(
        builder, loc, builder.getZeroAttr(type.getElementType()));
    Value empty = tensor::EmptyOp::create(builder, loc, type.getShape(),
                                          type.getElementType());
    Value init = linalg::FillOp::create(builder, loc, zero, empty).getResult(0);
    y = linalg::ContractOp::create(
            builder, loc, TypeRange(type), ValueRange{y, body->getArgument(k + 1)},
            ValueRange(init),
            builder.getArrayAttr(
                {mapOf(from), mapOf(unitsOfSlice[k]), mapOf(to)}))
            .getResult(0);
    from = to;
  }
  ssm::YieldOp::create(builder, loc, ValueRange{next, y});
  builder.setInsertionPointAfter(scan);
  SmallVector<AxisList> yAxes{form.decay.time};
  yAxes.append(axesOf(out));
  replace(scan.getResult(1), yAxes, scan.getResult(0), axesOf(state));
}

void FormBuilder::run() {
  RegionAxes before = axes;
  ScanForm whole = form;
  if (buildSelectiveScan())
    return;
  axes = std::move(before);
  form = whole;
  root = form.root.value;
  buildScan();
}

void itera::raise::buildScanForm(const ScanForm &form, ArrayRef<Value> lasts,
                                 RegionAxes &axes) {
  FormBuilder(form, lasts, axes).run();
}
