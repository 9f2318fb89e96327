// SPDX-License-Identifier: Apache-2.0

#include "itera/CodeGen/Link/CpuFeatures.h"
#include "itera/program.h"
#include "gtest/gtest.h"

using namespace itera;

TEST(CpuFeatures, MapsLLVMsNames) {
  EXPECT_EQ(getRequiredCpuFeatures("x86_64", {}), 0u);
  EXPECT_EQ(getRequiredCpuFeatures(
                "x86_64", {"64bit", "avx2", "bmi", "bmi2", "fma", "sse4.2"}),
            ITERA_CPU_X86_AVX2 | ITERA_CPU_X86_BMI1 | ITERA_CPU_X86_BMI2 |
                ITERA_CPU_X86_FMA | ITERA_CPU_X86_SSE42);
  EXPECT_EQ(getRequiredCpuFeatures("aarch64", {"neon", "dotprod", "fullfp16"}),
            ITERA_CPU_AARCH64_DOTPROD | ITERA_CPU_AARCH64_FP16);
  // A name means something on its own architecture only.
  EXPECT_EQ(getRequiredCpuFeatures("aarch64", {"avx2"}), 0u);
}
