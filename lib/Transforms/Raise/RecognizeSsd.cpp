// SPDX-License-Identifier: Apache-2.0
// Raises closed forms of linear recurrences, Mamba-2's state space duality
// above all, to the recurrence.
//
// There are many ways to write the chunked algorithm: with or without einsums,
// with running sums or their differences, over one or several chunks, padded
// or not. So the region is not matched but found by where it begins and ends
// (ClosedFormSearch), and what it computes is found by computing it
// (ScanForm, SmallCopy, RegionAxes).

#include "itera/Transforms/Raise/Passes.h"

#include "ClosedFormSearch.h"
#include "ScanFormBuilder.h"
#include "TensorUtils.h"

#include "itera/Dialect/SSM/SSM.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Remarks.h"

namespace itera {
#define GEN_PASS_DEF_RECOGNIZESSDPASS
#include "itera/Transforms/Raise/Passes.h.inc"
} // namespace itera

using namespace mlir;
using namespace itera;
using namespace itera::raise;

/// Candidates that are tried for one group.
static constexpr unsigned kMostTries = 64;

namespace {

struct Found {
  ScanForm form;
  RegionAxes axes;
};

struct RecognizeSsdPass : itera::impl::RecognizeSsdPassBase<RecognizeSsdPass> {
  void runOnOperation() override;
  bool raise(const DecayGroup &group, ClosedFormSearch &search,
             ScanFormFinder &finder);
};

} // namespace

/// The last states among `candidates`, of the form that was found.
static SmallVector<Value> findLasts(Found &found, const DecayGroup &group,
                                    ArrayRef<Value> candidates,
                                    ClosedFormSearch &search,
                                    ScanFormFinder &finder) {
  SmallVector<Value> lasts;
  auto valuesOf = [](ArrayRef<FormValue> list) {
    llvm::DenseSet<Value> values;
    for (const FormValue &value : list)
      values.insert(value.value);
    return values;
  };
  for (Value candidate : candidates) {
    RegionAxes axes = found.axes;
    std::optional<CutRegion> region = search.cutRegion(group, candidate, axes);
    std::optional<FormValue> root = makeFormValue(candidate, axes);
    if (!region || !root || !root->time.empty())
      continue;
    std::optional<ScanForm> form =
        finder.find(*region, group.decay, axes, search.evaluator);
    if (!form || !form->isLast ||
        valuesOf(form->injections) != valuesOf(found.form.injections) ||
        form->init.has_value() != found.form.init.has_value() ||
        (form->init && form->init->value != found.form.init->value))
      continue;
    found.axes = std::move(axes);
    lasts.push_back(candidate);
  }
  return lasts;
}

bool RecognizeSsdPass::raise(const DecayGroup &group, ClosedFormSearch &search,
                             ScanFormFinder &finder) {
  SmallVector<Value> candidates = search.findCandidates(group);
  std::optional<Found> found;
  StringRef reason = "no value has all of its exponentials";
  for (Value candidate : ArrayRef(candidates).take_front(kMostTries)) {
    Found here;
    std::optional<CutRegion> region =
        search.cutRegion(group, candidate, here.axes);
    if (!region || region->leaves.size() < 2)
      continue;
    std::optional<ScanForm> form =
        finder.find(*region, group.decay, here.axes, search.evaluator);
    if (!form)
      reason = finder.getReason();
    if (!form || form->isLast)
      continue;
    // Rather the readout than the states that are read out.
    bool isReadout = !form->summedAxes().empty();
    if (found && !isReadout)
      continue;
    here.form = *form;
    found = std::move(here);
    if (isReadout)
      break;
  }
  if (!found) {
    remark::missed(group.exps.front()->getLoc(),
                   remark::RemarkOpts::name("RecognizeSsd").category("raise"))
        << "exponentials of sums are no recurrence: " + reason.str();
    return false;
  }
  SmallVector<Value> lasts =
      findLasts(*found, group, candidates, search, finder);
  if (!buildSelectiveScan(found->form, lasts, found->axes))
    buildScan(found->form, lasts, found->axes);
  return true;
}

void RecognizeSsdPass::runOnOperation() {
  ScanFormFinder finder;
  for (Block &block : getOperation().getBody()) {
    bool changed = false;
    {
      ClosedFormSearch search(block);
      SmallVector<DecayGroup> groups = search.findGroups();
      for (const DecayGroup &group : groups) {
        search.pullSlicesUp(group);
        if (raise(group, search, finder)) {
          ++numForms;
          changed = true;
        }
      }
    }
    if (changed)
      eraseDeadOps(block);
  }
}
