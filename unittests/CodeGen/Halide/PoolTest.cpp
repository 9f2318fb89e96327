// SPDX-License-Identifier: Apache-2.0
// Worker processes, the cache on disk, and what is in the objects.

#include "KernelRunner.h"

#include "llvm/Object/ELFObjectFile.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/raw_ostream.h"
#include <gtest/gtest.h>
#include <set>

using namespace itera;
using namespace itera::test;

namespace {

std::string doubled(const std::string &name, int n) {
  std::string type = tensorType({n});
  return "func.func @" + name + "(%x: " + type + ") -> " + type +
         " {\n%y = arith.addf %x, %x : " + type + "\nreturn %y : " + type +
         "\n}\n";
}

KernelOptions options(const std::string &cache = "") {
  return {targetFor("", runnableCpus().front()), 2, cache, ITERA_TEST_WORKER};
}

TEST(Pool, AWorkerThatDiesFailsItsKernelOnly) {
  std::vector<KernelRequest> requests{{"a", doubled("a", 3)},
                                      {"crash", doubled("crash", 4)},
                                      {"b", doubled("b", 9)},
                                      {"bad", "func.func @bad("},
                                      {"c", doubled("c", 17)}};
  auto results = compileKernels(requests, options());
  ASSERT_EQ(results.size(), 5u);
  for (int i : {0, 2, 4}) {
    ASSERT_TRUE(bool(results[i])) << toString(results[i].takeError());
    LoadedKernel kernel(*results[i], requests[i].symbol);
    Guarded x = randomTensor(3, 1), y(3);
    if (i == 0) {
      kernel({x, y});
      EXPECT_EQ(y[2], x[2] + x[2]);
    }
  }
  std::string died = toString(results[1].takeError());
  EXPECT_NE(died.find("kernel 'crash'"), std::string::npos) << died;
  EXPECT_NE(died.find("Assertion `the test wants it' failed"),
            std::string::npos)
      << died;
  EXPECT_NE(toString(results[3].takeError()).find("kernel 'bad'"),
            std::string::npos);
}

TEST(Pool, AMissingWorkerIsAnError) {
  KernelOptions missing = options();
  missing.workerProgram = "/nonexistent/worker";
  auto results = compileKernels({{"a", doubled("a", 3)}}, missing);
  std::string error = toString(results[0].takeError());
  EXPECT_NE(error.find("/nonexistent/worker"), std::string::npos) << error;
}

TEST(Pool, CachedKernelsNeedNoWorkerAndDamageIsAMiss) {
  llvm::SmallString<128> folder;
  ASSERT_FALSE(llvm::sys::fs::createUniqueDirectory("itera-cache", folder));
  std::vector<KernelRequest> requests{{"a", doubled("a", 3)}};
  auto first = compileKernels(requests, options(folder.str().str()));
  ASSERT_TRUE(bool(first[0]));
  KernelOptions cached = options(folder.str().str());
  cached.workerProgram = "/nonexistent/worker";
  auto second = compileKernels(requests, cached);
  ASSERT_TRUE(bool(second[0])) << toString(second[0].takeError());
  EXPECT_EQ(first[0]->object, second[0]->object);
  EXPECT_EQ(first[0]->buffers.size(), second[0]->buffers.size());

  // Another target is another entry.
  cached.target = targetFor("aarch64", "");
  auto other = compileKernels(requests, cached);
  EXPECT_FALSE(bool(other[0]));
  llvm::consumeError(other[0].takeError());

  std::error_code error;
  int files = 0;
  for (llvm::sys::fs::directory_iterator it(folder, error), end;
       it != end && !error; it.increment(error), ++files) {
    auto bytes = llvm::MemoryBuffer::getFile(it->path());
    ASSERT_TRUE(bool(bytes));
    std::string damaged = (*bytes)->getBuffer().str();
    damaged[damaged.size() / 2] ^= 1;
    llvm::raw_fd_ostream(it->path(), error) << damaged;
  }
  EXPECT_EQ(files, 1);
  auto third = compileKernels(requests, options(folder.str().str()));
  ASSERT_TRUE(bool(third[0])) << toString(third[0].takeError());
  EXPECT_EQ(first[0]->object, third[0]->object);
  llvm::sys::fs::remove_directories(folder);
}

/// One kernel of each kind.
std::vector<std::string> allKinds() {
  return {
      kernelText(
          "%x: tensor<7x13xf32>, %w: tensor<3x13x16xf32>, %b: tensor<37xf32>",
          "tensor<7x37xf32>",
          "%y = ssm.linear %x, %w bias(%b : tensor<37xf32>) : "
          "tensor<7x13xf32>, tensor<3x13x16xf32> -> "
          "tensor<7x37xf32>\n%z = ssm.gelu %y : tensor<7x37xf32>\nreturn %z : "
          "tensor<7x37xf32>"),
      kernelText("%x: tensor<1x9x20xf32>, %a: tensor<20x16xf32>, %b: "
                 "tensor<1x9x16xf32>, %h: tensor<1x20x16xf32>",
                 "tensor<1x9x20xf32>, tensor<1x20x16xf32>",
                 "%s = ssm.softplus %x : tensor<1x9x20xf32>\n%y, %l = "
                 "ssm.selective_scan x(%x) dt(%s) A(%a) B(%b) "
                 "C(%b) init(%h) z(%x : tensor<1x9x20xf32>) : "
                 "tensor<1x9x20xf32>, tensor<20x16xf32>, "
                 "tensor<1x9x16xf32>, tensor<1x20x16xf32>\nreturn %y, %l : "
                 "tensor<1x9x20xf32>, tensor<1x20x16xf32>"),
      kernelText("%a: tensor<9x20xf32>, %h: tensor<20xf32>",
                 "tensor<9x20xf32>, tensor<20xf32>",
                 "%s, %l = ssm.linear_recurrence %a, %a, %h dim 0 : "
                 "tensor<9x20xf32>, tensor<20xf32>\nreturn %s, %l : "
                 "tensor<9x20xf32>, tensor<20xf32>"),
      kernelText(
          "%x: tensor<1x9x20xf32>, %w: tensor<20x4xf32>, %b: tensor<20xf32>",
          "tensor<1x9x20xf32>",
          "%y = ssm.causal_conv1d %x, %w bias(%b : tensor<20xf32>) silu : "
          "tensor<1x9x20xf32>, "
          "tensor<20x4xf32>\nreturn %y : tensor<1x9x20xf32>"),
      kernelText("%x: tensor<9x70xf32>, %s: tensor<70xf32>", "tensor<9x70xf32>",
                 "%y = ssm.norm layer %x scale(%s : tensor<70xf32>) epsilon "
                 "1.0e-5 : tensor<9x70xf32>\nreturn %y : "
                 "tensor<9x70xf32>"),
      kernelText("%x: tensor<9x70xf32>", "tensor<9x70xf32>",
                 "%e = tensor.empty() : tensor<9x70xf32>\n%y = linalg.softmax "
                 "dimension(1) ins(%x : tensor<9x70xf32>) "
                 "outs(%e : tensor<9x70xf32>) -> tensor<9x70xf32>\n%t = "
                 "math.tanh %y : tensor<9x70xf32>\n%s = math.sin "
                 "%t : tensor<9x70xf32>\n%p = math.powf %s, %t : "
                 "tensor<9x70xf32>\nreturn %p : tensor<9x70xf32>"),
  };
}

// compileKernelInProcess() itself refuses an object with another undefined
// symbol; here the targets that cannot run on this host are only compiled.
TEST(Code, EveryKindCompilesForEveryTarget) {
  for (auto [arch, cpu] : {std::pair{"x86_64", "x86-64-v2"},
                           {"x86_64", "x86-64-v3"},
                           {"x86_64", "znver4"},
                           {"x86_64", "skylake-avx512"},
                           {"x86_64", "cascadelake"},
                           {"x86_64", "alderlake"},
                           {"aarch64", "generic"},
                           {"aarch64", "cortex-a76"}})
    for (const std::string &text : allKinds()) {
      auto kernel =
          compileKernelInProcess({"kernel", text}, targetFor(arch, cpu));
      EXPECT_TRUE(bool(kernel))
          << arch << " " << cpu << " " << toString(kernel.takeError());
    }
}

TEST(Code, IsDeterministic) {
  for (const std::string &text : allKinds()) {
    TargetSpec target = targetFor("x86_64", "x86-64-v3");
    auto a = compileKernelInProcess({"kernel", text}, target);
    auto b = compileKernelInProcess({"kernel", text}, target);
    ASSERT_TRUE(a && b);
    EXPECT_EQ(a->object, b->object);
  }
}

TEST(Code, HalideTargets) {
  EXPECT_EQ(halideTargetString(targetFor("x86_64", "x86-64-v3")),
            "x86-64-linux-sse41-avx-avx2-f16c-fma-no_runtime-no_asserts-no_"
            "bounds_query");
  EXPECT_EQ(halideTargetString(targetFor("x86_64", "znver4")),
            "x86-64-linux-sse41-avx-avx2-f16c-fma-avx512-avx512_skylake-avx512_"
            "cannonlake-avx512_zen4-no_runtime-no_"
            "asserts-no_bounds_query");
  EXPECT_EQ(halideTargetString(targetFor("rpi5", "")),
            "arm-64-linux-arm_dot_prod-arm_fp16-no_runtime-no_asserts-no_"
            "bounds_query");
}

} // namespace
