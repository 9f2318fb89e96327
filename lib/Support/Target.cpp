// SPDX-License-Identifier: Apache-2.0

#include "itera/Support/Target.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/StringSwitch.h"
#include "llvm/MC/MCSubtargetInfo.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/TargetParser/Host.h"
#include "llvm/TargetParser/Triple.h"

using namespace itera;
using namespace llvm;

bool TargetSpec::hasFeature(StringRef name) const {
  return is_contained(features, name);
}

std::string TargetSpec::featureString() const {
  std::string text;
  for (const std::string &feature : features)
    text += (text.empty() ? "+" : ",+") + feature;
  return text;
}

Expected<TargetSpec> itera::resolveTarget(StringRef target, StringRef cpu) {
  InitializeAllTargetInfos();
  InitializeAllTargets();
  InitializeAllTargetMCs();

  TargetSpec spec;
  Triple host(sys::getProcessTriple());
  std::string boardCpu = StringSwitch<std::string>(target)
                             .Case("rpi3", "cortex-a53")
                             .Case("rpi4", "cortex-a72")
                             .Case("rpi5", "cortex-a76")
                             .Default("");
  StringRef arch = target;
  if (target.empty())
    arch = Triple::getArchTypeName(host.getArch());
  else if (!boardCpu.empty())
    arch = "aarch64";
  else if (target.contains('-'))
    arch = Triple::getArchTypeName(Triple(target).getArch());
  if (arch == "arm64")
    arch = "aarch64";
  if (arch != "x86_64" && arch != "aarch64")
    return createStringError("unknown target '%s', expected x86_64, aarch64, "
                             "rpi3, rpi4, rpi5, or a triple of one of the "
                             "first two for linux",
                             target.str().c_str());
  if (target.contains('-') && !Triple(target).isOSLinux())
    return createStringError("target '%s' is not for linux, the only system "
                             "that is supported",
                             target.str().c_str());
  spec.arch = arch.str();
  spec.triple = target.contains('-') ? target.str()
                                     : spec.arch + "-unknown-linux-gnu";

  std::string extra;
  if (cpu == "native") {
    if (Triple::getArchTypeName(host.getArch()) != arch)
      return createStringError("--mcpu=native needs a target of this host's "
                               "architecture, but got %s",
                               spec.arch.c_str());
    spec.cpu = sys::getHostCPUName().str();
    for (const auto &feature : sys::getHostCPUFeatures())
      extra += (extra.empty() ? "" : ",") +
               std::string(feature.getValue() ? "+" : "-") +
               feature.getKey().str();
  } else if (!cpu.empty()) {
    spec.cpu = cpu.str();
  } else if (!boardCpu.empty()) {
    spec.cpu = boardCpu;
  } else {
    spec.cpu = arch == "x86_64" ? "x86-64-v3" : "generic";
  }

  std::string error;
  Triple triple(spec.triple);
  const Target *llvmTarget = TargetRegistry::lookupTarget(triple, error);
  if (!llvmTarget)
    return createStringError("%s", error.c_str());
  // Asked of the plain target: LLVM prints a complaint of its own when it makes
  // a target of an unknown CPU.
  std::unique_ptr<MCSubtargetInfo> plain(
      llvmTarget->createMCSubtargetInfo(triple, "", ""));
  if (!plain || !plain->isCPUStringValid(spec.cpu))
    return createStringError("unknown CPU '%s' for %s", spec.cpu.c_str(),
                             spec.arch.c_str());
  std::unique_ptr<MCSubtargetInfo> info(
      llvmTarget->createMCSubtargetInfo(triple, spec.cpu, extra));
  for (const SubtargetFeatureKV &feature : info->getEnabledProcessorFeatures())
    spec.features.push_back(feature.Key);
  sort(spec.features);
  return spec;
}
