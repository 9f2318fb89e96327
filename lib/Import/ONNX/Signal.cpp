// SPDX-License-Identifier: Apache-2.0

#include "Common.h"

using namespace mlir;
using namespace itera;
using namespace itera::onnx_import;

ArrayRef<OpEntry> onnx_import::signalOps() { return {}; }
ArrayRef<OpEntry> onnx_import::recurrentOps() { return {}; }
ArrayRef<OpEntry> onnx_import::quantizedOps() { return {}; }
