// SPDX-License-Identifier: Apache-2.0
// When the frames of a value come.
//
// A value gets a burst of frames at one input of every `stride`, the first time
// at input `lookahead`: its frame j comes with the input
//
//   stride * floor((j + skip) / burst) + lookahead.
//
// A burst of one frame is the usual case; upsampling makes longer ones. A
// convolution that looks ahead within a burst moves its bounds: the first burst
// lacks `skip` frames then. What an op makes of its operands' frames, and what
// it may not yet give out because a sequence might end there, are functions of
// this kind too, or do not stream: all of them repeat, so that looking at one
// period is a proof.

#ifndef ITERA_LIB_TRANSFORMS_STREAM_ARRIVAL_H
#define ITERA_LIB_TRANSFORMS_STREAM_ARRIVAL_H

#include "itera/Transforms/Stream/Streaming.h"
#include <numeric>

namespace itera {

/// floor(a / b) for b > 0.
inline int64_t floorDiv(int64_t a, int64_t b) {
  return a / b - (a % b != 0 && a < 0);
}

struct Arrival {
  int64_t stride = 1, lookahead = 0;
  int64_t burst = 1, skip = 0; // 0 <= skip < burst

  bool operator==(const Arrival &o) const {
    return stride == o.stride && lookahead == o.lookahead &&
           burst == o.burst && skip == o.skip;
  }
  bool hasRateOf(const Arrival &o) const {
    return burst * o.stride == o.burst * stride;
  }
  /// The input that frame j comes with; before the first input if negative.
  int64_t inputOf(int64_t j) const {
    return stride * floorDiv(j + skip, burst) + lookahead;
  }
  /// Frames that have come with `inputs` inputs; as if there were frames before
  /// the first one, if negative.
  int64_t framesWith(int64_t inputs) const {
    return burst * (floorDiv(inputs - 1 - lookahead, stride) + 1) - skip;
  }
  int64_t framesAfter(int64_t inputs) const {
    return std::max<int64_t>(0, framesWith(inputs));
  }
  /// The most inputs behind its own place in time that a frame needs.
  int64_t getLatency() const;
  /// Whether the first burst lacks frames and comes with an input.
  bool startsWithPart() const { return skip > 0 && lookahead >= 0; }
  /// What of it is given out: nothing before the first input.
  Arrival delivered() const;
};

/// Finds what `inputOf` is, which must repeat with `period` frames; none if its
/// bursts are not all alike.
std::optional<Arrival>
fitArrival(llvm::function_ref<int64_t(int64_t)> inputOf, int64_t period);

/// A number of frames for so many inputs, as steps one after the other.
using FrameCount = llvm::SmallVector<CountStep>;

/// Adds a step to a count, as one with the last if the two can be.
void addStep(FrameCount &count, const CountStep &step);
int64_t countFrames(const FrameCount &count, int64_t inputs);
/// The least number of inputs that have so many frames, if no step came out
/// negative.
int64_t inputsFor(const FrameCount &count, int64_t frames);
/// So many more frames with so many more inputs.
int64_t periodInFrames(const FrameCount &count);
int64_t periodInInputs(const FrameCount &count);
/// A number of inputs from which on a count repeats exactly.
int64_t inputsToSettle(const FrameCount &count);
/// The one of two counts that is nowhere larger than the other; none if neither
/// is.
std::optional<FrameCount> smallerCount(const FrameCount &a, const FrameCount &b);
/// The most inputs that have no more than so many frames.
int64_t inputsWithin(const FrameCount &count, int64_t frames);
/// How many inputs after the end the last frame comes; 0 if none is late.
int64_t framesBehindEnd(const Arrival &arrival, const FrameCount &count);

} // namespace itera

#endif // ITERA_LIB_TRANSFORMS_STREAM_ARRIVAL_H
