// SPDX-License-Identifier: Apache-2.0
// Scans, recurrences and convolutions over time: against loops in double, and
// the same bits however time is cut.

#include "KernelRunner.h"

#include <cmath>
#include <gtest/gtest.h>

using namespace itera::test;

namespace {

struct Scan {
  int batch, frames, channels, states;
  bool d, z, reverse, transposed;
  /// Of B and C, which have no such dimension for 0.
  int groups = 0;
  bool decayPerState = true;
};

std::string scanText(Scan c) {
  std::string x = tensorType({c.batch, c.frames, c.channels});
  std::string a = c.decayPerState ? tensorType({c.channels, c.states})
                                  : tensorType({c.channels}),
              bc = c.groups
                       ? tensorType({c.batch, c.frames, c.groups, c.states})
                       : tensorType({c.batch, c.frames, c.states});
  std::string h = tensorType({c.batch, c.channels, c.states}),
              dd = tensorType({c.channels});
  std::string at = c.decayPerState ? tensorType({c.states, c.channels}) : a,
              ht = tensorType({c.batch, c.states, c.channels});
  std::string body, A = "%a", init = "%h";
  if (c.transposed) {
    if (c.decayPerState) {
      body += "%ea = tensor.empty() : " + a +
              "\n%a1 = linalg.transpose ins(%a : " + at + ") outs(%ea : " + a +
              ") permutation = [1, 0]\n";
      A = "%a1";
    }
    body += "%eh = tensor.empty() : " + h +
            "\n%h1 = linalg.transpose ins(%h : " + ht + ") outs(%eh : " + h +
            ") permutation = [0, 2, 1]\n";
    init = "%h1";
  }
  // dt is raw: softplus is part of the kernel.
  body += "%sp = ssm.softplus %dt : " + x +
          "\n%y, %l = ssm.selective_scan x(%x) dt(%sp) A(" + A +
          ") B(%b) C(%c) init(" + init + ")";
  if (c.d)
    body += " D(%d : " + dd + ")";
  if (c.z)
    body += " z(%z : " + x + ")";
  body += std::string(c.reverse ? " reverse" : "") + " : " + x + ", " + a +
          ", " + bc + ", " + h + "\n";
  if (c.transposed)
    body += "%el = tensor.empty() : " + ht +
            "\n%lt = linalg.transpose ins(%l : " + h + ") outs(%el : " + ht +
            ") permutation = [0, 2, 1]\nreturn %y, %lt : " + x + ", " + ht;
  else
    body += "return %y, %l : " + x + ", " + h;
  return kernelText("%x: " + x + ", %dt: " + x +
                        ", %a: " + (c.transposed ? at : a) + ", %b: " + bc +
                        ", %c: " + bc + ", %h: " + (c.transposed ? ht : h) +
                        ", %d: " + dd + ", %z: " + x,
                    x + ", " + (c.transposed ? ht : h), body);
}

struct ScanData {
  Guarded x, dt, a, b, c, h, d, z;
};

ScanData scanData(Scan c) {
  int btd = c.batch * c.frames * c.channels,
      btn = c.batch * c.frames * std::max(c.groups, 1) * c.states;
  return {randomTensor(btd, 1),
          randomTensor(btd, 2, -4, 1),
          randomTensor(c.channels * (c.decayPerState ? c.states : 1), 3, -8,
                       -0.1f),
          randomTensor(btn, 4),
          randomTensor(btn, 5),
          randomTensor(c.batch * c.channels * c.states, 6),
          randomTensor(c.channels, 7),
          randomTensor(btd, 8, -3, 3)};
}

TEST(Recurrence, SelectiveScan) {
  for (const std::string &cpu : runnableCpus())
    for (Scan c : {Scan{1, 1, 1, 1, true, true, false, true},
                   {1, 8, 16, 16, true, true, false, true},
                   {2, 7, 37, 16, true, true, false, true},
                   {1, 3, 5, 4, false, false, false, true},
                   {1, 63, 24, 17, true, false, true, true},
                   {2, 20, 13, 3, false, true, true, false},
                   {1, 64, 32, 64, true, true, false, true},
                   {1, 2, 19, 128, true, true, false, false},
                   {2, 7, 37, 16, true, true, false, true, 0, false},
                   {1, 9, 32, 128, true, true, false, true, 1, false},
                   {2, 5, 24, 8, false, true, true, true, 3, false},
                   {1, 20, 34, 64, true, false, false, false, 2, true}}) {
      LoadedKernel kernel(scanText(c), cpu);
      ScanData in = scanData(c);
      Guarded y(in.x.size()), last(in.h.size());
      kernel({in.x, in.dt, in.a, in.b, in.c, in.h, in.d, in.z, y, last});
      for (int b = 0; b < c.batch; ++b)
        for (int d = 0; d < c.channels; ++d) {
          auto stateAt = [&](int n) {
            return c.transposed ? (b * c.states + n) * c.channels + d
                                : (b * c.channels + d) * c.states + n;
          };
          std::vector<double> h(c.states);
          for (int n = 0; n < c.states; ++n)
            h[n] = in.h[stateAt(n)];
          for (int s = 0; s < c.frames; ++s) {
            int t = c.reverse ? c.frames - 1 - s : s,
                i = (b * c.frames + t) * c.channels + d;
            double dt = std::log1p(std::exp(double(in.dt[i]))),
                   sum = c.d ? double(in.d[d]) * in.x[i] : 0;
            for (int n = 0; n < c.states; ++n) {
              double a = in.a[!c.decayPerState ? d
                              : c.transposed   ? n * c.channels + d
                                               : d * c.states + n];
              int row = b * c.frames + t;
              if (c.groups)
                row = row * c.groups + d * c.groups / c.channels;
              h[n] = std::exp(dt * a) * h[n] +
                     dt * in.b[row * c.states + n] * in.x[i];
              sum += in.c[row * c.states + n] * h[n];
            }
            if (c.z)
              sum *= in.z[i] / (1 + std::exp(-double(in.z[i])));
            // The exponent dt * a, at most 11, is rounded three times: 33 half
            // ulps of h, summed over n; states are below 1.5 or so.
            ASSERT_NEAR(y[i], sum, 40 * 0x1p-24 * (1.5 * c.states + 3))
                << "t " << t << " d " << d;
          }
          for (int n = 0; n < c.states; ++n)
            ASSERT_NEAR(last[stateAt(n)], h[n], 60 * 0x1p-24 * 2);
        }
      EXPECT_TRUE(y.intact() && last.intact());
    }
}

/// A part of the frames of [batch=1, frames, width].
const float *framesFrom(const Guarded &tensor, int t, int width) {
  return tensor.data() + t * width;
}

TEST(Recurrence, ScanInPartsHasTheSameBits) {
  for (const std::string &cpu : runnableCpus())
    for (Scan whole : {Scan{1, 24, 1, 16, true, true, false, true},
                       Scan{1, 24, 37, 16, true, true, false, true},
                       Scan{1, 24, 16, 64, true, true, false, true},
                       Scan{1, 24, 40, 64, true, true, false, true, 0, false}}) {
      LoadedKernel all(scanText(whole), cpu);
      ScanData in = scanData(whole);
      Guarded y(in.x.size()), last(in.h.size());
      all({in.x, in.dt, in.a, in.b, in.c, in.h, in.d, in.z, y, last});
      for (int part : {1, 3, 8}) {
        Scan piece = whole;
        piece.frames = part;
        LoadedKernel kernel(scanText(piece), cpu);
        // The state is updated in place.
        Guarded state = in.h, yp(in.x.size());
        int d = whole.channels, n = whole.states;
        for (int t = 0; t < whole.frames; t += part)
          kernel({framesFrom(in.x, t, d), framesFrom(in.dt, t, d), in.a,
                  framesFrom(in.b, t, n), framesFrom(in.c, t, n), state, in.d,
                  framesFrom(in.z, t, d), framesFrom(yp, t, d), state});
        for (size_t i = 0; i < y.size(); ++i)
          ASSERT_EQ(yp[i], y[i]) << "part " << part << " at " << i;
        for (size_t i = 0; i < last.size(); ++i)
          ASSERT_EQ(state[i], last[i]);
      }
    }
}

struct Linear {
  std::vector<int> shape;
  int dim;
  bool reverse;
};

std::string typeOf(const std::vector<int> &shape) {
  std::string text = "tensor<";
  for (int extent : shape)
    text += std::to_string(extent) + "x";
  return text + "f32>";
}

TEST(Recurrence, LinearRecurrence) {
  for (const std::string &cpu : runnableCpus())
    for (const Linear &c : {Linear{{2, 16, 8}, 1, false},
                            {{5, 37}, 0, false},
                            {{3, 33}, 1, true},
                            {{4, 7, 64}, 1, false},
                            {{9}, 0, false},
                            {{1, 1, 3}, 1, false},
                            {{2, 5, 1}, 1, true}}) {
      std::vector<int> state = c.shape;
      state.erase(state.begin() + c.dim);
      std::string u = typeOf(c.shape), h = typeOf(state);
      LoadedKernel kernel(
          kernelText("%a: " + u + ", %u: " + u + ", %h: " + h, u + ", " + h,
                     "%s, %l = ssm.linear_recurrence %a, %u, %h dim " +
                         std::to_string(c.dim) + (c.reverse ? " reverse" : "") +
                         " : " + u + ", " + h + "\nreturn %s, %l : " + u +
                         ", " + h),
          cpu);
      int inner = 1, outer = 1, frames = c.shape[c.dim];
      for (size_t i = 0; i < c.shape.size(); ++i)
        (int(i) < c.dim ? outer : inner) *= int(i) == c.dim ? 1 : c.shape[i];
      Guarded a = randomTensor(outer * frames * inner, 1),
              in = randomTensor(a.size(), 2),
              init = randomTensor(outer * inner, 3), steps(a.size()),
              last(init.size());
      kernel({a, in, init, steps, last});
      for (int o = 0; o < outer; ++o)
        for (int i = 0; i < inner; ++i) {
          float h = init[o * inner + i];
          for (int s = 0; s < frames; ++s) {
            int t = c.reverse ? frames - 1 - s : s,
                at = (o * frames + t) * inner + i;
            h = std::fma(a[at], h, in[at]);
            ASSERT_EQ(steps[at], h) << u << " t " << t << " i " << i;
          }
          ASSERT_EQ(last[o * inner + i], h);
        }
      EXPECT_TRUE(steps.intact() && last.intact());
    }
}

struct Conv {
  int batch, frames, channels, taps;
  bool bias, past, silu;
};

std::string convText(Conv c) {
  std::string x = tensorType({c.batch, c.frames, c.channels}),
              w = tensorType({c.channels, c.taps});
  std::string b = tensorType({c.channels}),
              p = tensorType({c.batch, c.taps - 1, c.channels});
  std::string arguments = "%x: " + x + ", %w: " + w + ", %b: " + b;
  if (c.past)
    arguments += ", %p: " + p;
  return kernelText(arguments, x,
                    "%y = ssm.causal_conv1d %x, %w" +
                        (c.bias ? " bias(%b : " + b + ")" : "") +
                        (c.past ? " past(%p : " + p + ")" : "") +
                        (c.silu ? " silu" : " none") + " : " + x + ", " + w +
                        "\nreturn %y : " + x);
}

TEST(Recurrence, CausalConvolution) {
  for (const std::string &cpu : runnableCpus())
    for (Conv c : {Conv{1, 1, 1, 1, true, false, false},
                   {2, 7, 37, 4, true, false, true},
                   {1, 3, 16, 4, false, true, true},
                   {2, 2, 5, 4, true, true, false},
                   {1, 1, 48, 4, true, true, true},
                   {1, 63, 9, 2, true, false, true},
                   {1, 40, 19, 21, true, true, false},
                   {1, 5, 19, 21, true, false, false}}) {
      LoadedKernel kernel(convText(c), cpu);
      Guarded x = randomTensor(c.batch * c.frames * c.channels, 1),
              w = randomTensor(c.channels * c.taps, 2),
              b = randomTensor(c.channels, 3),
              p = randomTensor(c.batch * (c.taps - 1) * c.channels, 4),
              y(x.size());
      std::vector<const void *> tensors{x, w, b};
      if (c.past)
        tensors.push_back(p);
      tensors.push_back(y);
      kernel(tensors);
      for (int s = 0; s < c.batch; ++s)
        for (int t = 0; t < c.frames; ++t)
          for (int d = 0; d < c.channels; ++d) {
            double sum = c.bias ? b[d] : 0;
            for (int k = 0; k < c.taps; ++k) {
              int from = t + k - c.taps + 1;
              double v =
                  from >= 0 ? x[(s * c.frames + from) * c.channels + d]
                  : c.past
                      ? p[(s * (c.taps - 1) + from + c.taps - 1) * c.channels +
                          d]
                      : 0;
              sum += w[d * c.taps + k] * v;
            }
            double expected = c.silu ? sum / (1 + std::exp(-sum)) : sum;
            ASSERT_NEAR(y[(s * c.frames + t) * c.channels + d], expected,
                        (c.taps + 6) * 0x1p-24 * (c.taps + 1));
          }
      EXPECT_TRUE(y.intact());
    }
}

// Frame by frame, with the last K - 1 frames as the past, gives the same bits.
TEST(Recurrence, ConvolutionByFrameHasTheSameBits) {
  constexpr int frames = 11, channels = 37, taps = 4;
  for (const std::string &cpu : runnableCpus()) {
    LoadedKernel all(convText({1, frames, channels, taps, true, false, true}),
                     cpu);
    LoadedKernel one(convText({1, 1, channels, taps, true, true, true}), cpu);
    // Zeros in front are the past of the first frames.
    Guarded x((frames + taps - 1) * channels),
        w = randomTensor(channels * taps, 2), b = randomTensor(channels, 3),
        y(frames * channels), y1(channels);
    Guarded random = randomTensor(frames * channels, 1);
    std::copy_n(random.data(), random.size(), x.data() + (taps - 1) * channels);
    all({x.data() + (taps - 1) * channels, w, b, y});
    for (int t = 0; t < frames; ++t) {
      one({x.data() + (t + taps - 1) * channels, w, b, x.data() + t * channels,
           y1});
      for (int d = 0; d < channels; ++d)
        ASSERT_EQ(y1[d], y[t * channels + d]);
    }
  }
}

} // namespace
