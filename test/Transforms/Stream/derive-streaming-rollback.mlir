// A stream of which three frames can be taken back.
// RUN: itera-opt '--ssm-derive-streaming=chunk=8 rollback=3' --cse --canonicalize --split-input-file %s | FileCheck %s
// RUN: itera-opt '--ssm-derive-streaming=chunk=2 rollback=3' --split-input-file %s | FileCheck %s --check-prefix=CHUNK
// RUN: itera-opt --ssm-derive-streaming --split-input-file %s | FileCheck %s --check-prefix=NONE
// RUN: not itera-compile %s --rollback=4097 -o %t.so 2>&1 | FileCheck %s --check-prefix=MANY
// RUN: not itera-compile %s --rollback=2 --stream=none -o %t.so 2>&1 | FileCheck %s --check-prefix=WITHOUT
// MANY: --rollback=4097: expected 0 to 4096 frames
// WITHOUT: --rollback: needs a stream, but got --stream=none

// Beside the state stands its base; what the op reads is kept as a history. A
// chunk is never shorter than what can be taken back.
// CHUNK: chunk = 3 : i64
// NONE-NOT: base
// NONE-NOT: @rollback
// CHECK: rollback = 3 : i64, rollback_bytes = 64 : i64
// CHECK-SAME: {name = "u.history", node = "u", type = tensor<3x4xf32>}, {base = 2 : i64, name = "Scan_0.state", node = "Scan_0", type = tensor<4xf32>}, {name = "Scan_0.state.base"
func.func @forward(%u: tensor<16x4xf32> {ssm.name = "u"}) -> (tensor<16x4xf32> {ssm.name = "y"}) {
  %zero = arith.constant dense<0.0> : tensor<4xf32>
  %a = arith.constant dense<0.5> : tensor<16x4xf32>
  %h, %last = ssm.linear_recurrence %a, %u, %zero dim 0 : tensor<16x4xf32>, tensor<4xf32> loc("Scan_0")
  return %h : tensor<16x4xf32>
}

// The oldest of three frames goes into the base.
// CHECK-LABEL: func.func @step
// CHECK-SAME: %[[HISTORY:[a-z0-9]+]]: tensor<3x4xf32> {ssm.state = 0 : i64}, %[[STATE:[a-z0-9]+]]: tensor<4xf32> {ssm.state = 1 : i64}, %[[BASE:[a-z0-9]+]]: tensor<4xf32> {ssm.state = 2 : i64}, %[[CLOCK:[a-z0-9]+]]: tensor<3xi64>
// CHECK-DAG: %[[C2:.*]] = arith.constant 2 : index
// CHECK-DAG: %[[C3:.*]] = arith.constant 3 : index
// CHECK-DAG: %[[KEPT:.*]] = tensor.extract %[[CLOCK]][%[[C2]]]
// CHECK: %[[NUMBER:.*]] = arith.index_cast %[[KEPT]]
// CHECK: %[[FULL:.*]] = arith.cmpi eq, %[[NUMBER]], %[[C3]]
// CHECK: %[[NEXT:.*]] = scf.if %[[FULL]]
// CHECK:   %[[OLDEST:.*]] = tensor.extract_slice %[[HISTORY]][0, 0] [1, 4]
// CHECK:   %{{.*}}, %[[LATER:.*]] = ssm.linear_recurrence %{{.*}}, %[[OLDEST]], %[[BASE]] dim 0
// CHECK:   scf.yield %[[LATER]]
// CHECK: else
// CHECK:   scf.yield %[[BASE]]
// CHECK: return %{{.*}}, %{{.*}}, %{{.*}}, %[[NEXT]]

// All frames of a chunk but the last three, after the state before it.
// CHECK-LABEL: func.func @prefill
// CHECK-SAME: %[[U:[a-z0-9]+]]: tensor<8x4xf32> {ssm.input = 0 : i64}, %{{.*}}: tensor<3x4xf32> {ssm.state = 0 : i64}, %[[STATE:[a-z0-9]+]]: tensor<4xf32> {ssm.state = 1 : i64}
// CHECK: %[[FIRST:.*]] = tensor.extract_slice %[[U]][0, 0] [5, 4]
// CHECK: %{{.*}}, %[[NEXT:.*]] = ssm.linear_recurrence %{{.*}}, %[[FIRST]], %[[STATE]] dim 0
// CHECK: return %{{.*}}, %{{.*}}, %{{.*}}, %[[NEXT]]

// From the base, the frames that stay. The history ends earlier.
// CHECK-LABEL: func.func @rollback
// CHECK-SAME: %[[HISTORY:[a-z0-9]+]]: tensor<3x4xf32> {ssm.state = 0 : i64}, %{{.*}}: tensor<4xf32> {ssm.state = 1 : i64}, %[[BASE:[a-z0-9]+]]: tensor<4xf32> {ssm.state = 2 : i64}
// CHECK: %[[ALL:.*]] = tensor.concat dim(0) %{{.*}}, %[[HISTORY]]
// CHECK: %[[SHIFTED:.*]] = tensor.extract_slice %[[ALL]][%{{.*}}, 0] [3, 4]
// CHECK: %[[STATE:.*]] = scf.for {{.*}} iter_args(%[[NOW:.*]] = %[[BASE]])
// CHECK:   %[[FRAME:.*]] = tensor.extract_slice %[[HISTORY]][%{{.*}}, 0] [1, 4]
// CHECK:   ssm.linear_recurrence %{{.*}}, %[[FRAME]], %[[NOW]] dim 0
// CHECK: return %[[SHIFTED]], %[[STATE]], %[[BASE]]

// -----

// What only the results of a scan read is not kept: neither C nor z.
// CHECK: states = [
// CHECK-NOT: "c.history"
// CHECK-NOT: "z.history"
// CHECK-SAME: "x.history"
// CHECK-SAME: "dt.history"
// CHECK-SAME: "b.history"
// CHECK-NOT: "c.history"
// CHECK-NOT: "z.history"
// CHECK-SAME: "ssm.selective_scan.state.base"
func.func @forward(%x: tensor<1x16x4xf32> {ssm.name = "x"}, %dt: tensor<1x16x4xf32> {ssm.name = "dt"},
    %b: tensor<1x16x2xf32> {ssm.name = "b"}, %c: tensor<1x16x2xf32> {ssm.name = "c"}, %z: tensor<1x16x4xf32> {ssm.name = "z"})
    -> (tensor<1x16x4xf32> {ssm.name = "y"}) {
  %a = arith.constant dense<-1.0> : tensor<4x2xf32>
  %init = arith.constant dense<0.0> : tensor<1x4x2xf32>
  %y, %last = ssm.selective_scan x(%x) dt(%dt) A(%a) B(%b) C(%c) init(%init) z(%z : tensor<1x16x4xf32>)
    : tensor<1x16x4xf32>, tensor<4x2xf32>, tensor<1x16x2xf32>, tensor<1x4x2xf32>
  return %y : tensor<1x16x4xf32>
}
