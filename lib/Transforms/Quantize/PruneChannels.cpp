// SPDX-License-Identifier: Apache-2.0
// Structured pruning: ChannelCoupling says what can only go together,
// ChannelEnergy what the sums that read a channel lose without it, ChannelCut
// takes out what is chosen here.

#include "ChannelCoupling.h"
#include "ChannelCut.h"
#include "ChannelEnergy.h"
#include "itera/Dialect/SSM/SSM.h"
#include "itera/Transforms/Quantize/Passes.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "llvm/ADT/IntEqClasses.h"
#include "llvm/ADT/MapVector.h"
#include <cmath>

namespace itera {
#define GEN_PASS_DEF_PRUNECHANNELSPASS
#include "itera/Transforms/Quantize/Passes.h.inc"
} // namespace itera

using namespace mlir;
using namespace itera;

namespace {

/// A class of elements that has channels of a scan.
struct Candidate {
  unsigned element;
  /// The first scan that it has channels of, and how many.
  unsigned scan;
  int64_t channels = 0;
  double score = 0;
};

struct PruneChannels : itera::impl::PruneChannelsPassBase<PruneChannels> {
  using PruneChannelsPassBase::PruneChannelsPassBase;

  void runOnOperation() override;

private:
  LogicalResult checkOptions();
  void findCandidates(ArrayRef<ssm::SelectiveScanOp> scans,
                      ChannelCoupling &coupling);
  void score(ChannelCoupling &coupling);
  void select(ssm::SelectiveScanOp scan, SmallVector<Candidate *> candidates,
              const ChannelCoupling &coupling, llvm::BitVector &removed);

  /// By class.
  llvm::MapVector<unsigned, Candidate> candidates;
  /// Scans that share a class: they are pruned alike.
  llvm::IntEqClasses families;
};

} // namespace

LogicalResult PruneChannels::checkOptions() {
  if (!(ratio >= 0 && ratio < 1))
    return getOperation().emitError(
               "expected a ratio from 0 to less than 1, but got ")
           << ratio.getValue();
  if (multiple < 1)
    return getOperation().emitError("expected a positive multiple, but got ")
           << multiple.getValue();
  return success();
}

void PruneChannels::findCandidates(ArrayRef<ssm::SelectiveScanOp> scans,
                                   ChannelCoupling &coupling) {
  families.grow(scans.size());
  for (unsigned number = 0; number < scans.size(); ++number) {
    ssm::SelectiveScanOp scan = scans[number];
    unsigned slot = *coupling.getSlot(ChannelTensor(scan.getY()), 2);
    for (int64_t i = 0; i < coupling.getSlots()[slot].size; ++i) {
      unsigned element = coupling.classOf(slot, i);
      auto it =
          candidates.try_emplace(element, Candidate{element, number})
              .first;
      it->second.channels += it->second.scan == number;
      families.join(it->second.scan, number);
    }
  }
  families.compress();
}

/// A candidate's score: the largest share that an index of it has in the energy
/// of a linear layer that reads it. A sum would let a channel go on which one of
/// its readers depends: few removed outliers cost more than all others.
void PruneChannels::score(ChannelCoupling &coupling) {
  ChannelEnergy energy;
  for (auto [number, slot] : llvm::enumerate(coupling.getSlots())) {
    Value value = slot.tensor.value;
    for (OpOperand &use : value.getUses()) {
      auto linear = dyn_cast<ssm::LinearOp>(use.getOwner());
      if (slot.tensor.use || !linear || use.getOperandNumber() != 0 ||
          slot.dim + 1 != slot.tensor.rank())
        continue;
      ArrayRef<double> columns = energy.columnEnergies(linear);
      std::vector<double> shares(columns.size());
      double total = 0;
      for (auto [i, share] : llvm::enumerate(shares))
        total += share = columns[i] * energy.at(value, slot.dim, i).energy();
      for (auto [i, share] : llvm::enumerate(shares))
        if (auto it = candidates.find(coupling.classOf(number, i));
            it != candidates.end() && total > 0)
          it->second.score = std::max(it->second.score, share / total);
    }
  }
}

/// Chooses what goes of the classes of scans that are pruned alike, of which
/// `scan` is the first.
void PruneChannels::select(ssm::SelectiveScanOp scan,
                           SmallVector<Candidate *> classes,
                           const ChannelCoupling &coupling,
                           llvm::BitVector &removed) {
  int64_t total = 0;
  for (const Candidate *candidate : classes)
    total += candidate->channels;
  StringRef obstacle = coupling.getObstacle(classes.front()->element);
  llvm::erase_if(classes, [&](const Candidate *candidate) {
    return !coupling.getObstacle(candidate->element).empty();
  });
  if (classes.empty()) {
    ++numKept;
    scan.emitRemark("channels are not pruned: ") << obstacle;
    return;
  }
  llvm::sort(classes, [](const Candidate *a, const Candidate *b) {
    return std::pair(a->score, a->element) < std::pair(b->score, b->element);
  });
  int64_t budget = std::floor(ratio * total), count = 0;
  size_t chosen = 0;
  int64_t pruned = 0;
  for (auto [number, candidate] : llvm::enumerate(classes)) {
    count += candidate->channels;
    if (count > budget)
      break;
    if ((total - count) % multiple == 0) {
      chosen = number + 1;
      pruned = count;
    }
  }
  numPruned += pruned;
  for (const Candidate *candidate : ArrayRef(classes).take_front(chosen))
    removed.set(candidate->element);
  if (chosen == 0 && ratio > 0) {
    ++numKept;
    scan.emitRemark("channels are not pruned: of ")
        << total << ", no more than " << budget
        << " may go, and what is left must be a multiple of "
        << multiple.getValue();
  }
}

/// Does without what would leave a dimension empty.
static void keepOneOfEach(ChannelCoupling &coupling, llvm::BitVector &removed) {
  for (auto [number, slot] : llvm::enumerate(coupling.getSlots())) {
    bool isEmpty = true;
    for (int64_t i = 0; i < slot.size && isEmpty; ++i)
      isEmpty = removed.test(coupling.classOf(number, i));
    for (int64_t i = 0; i < slot.size && isEmpty; ++i)
      removed.reset(coupling.classOf(number, i));
  }
}

void PruneChannels::runOnOperation() {
  candidates.clear();
  families.clear();
  if (failed(checkOptions()))
    return signalPassFailure();
  func::FuncOp function = getOperation();
  if (function.isExternal() || !function.getBody().hasOneBlock())
    return;
  SmallVector<ssm::SelectiveScanOp> scans(
      function.getOps<ssm::SelectiveScanOp>());
  if (scans.empty()) {
    function.emitRemark("no channels are pruned: there is no selective scan");
    return;
  }
  splitConstantChains(function);
  ChannelCoupling coupling;
  for (ssm::SelectiveScanOp scan : scans)
    coupling.follow(scan.getY(), 2);
  findCandidates(scans, coupling);
  score(coupling);

  llvm::MapVector<unsigned, SmallVector<Candidate *>> byFamily;
  for (auto &[element, candidate] : candidates)
    byFamily[families[candidate.scan]].push_back(&candidate);
  llvm::BitVector removed(coupling.getNumElements());
  for (auto &[family, members] : byFamily)
    select(scans[members.front()->scan], members, coupling, removed);
  keepOneOfEach(coupling, removed);
  cutChannels(coupling, removed);
}
