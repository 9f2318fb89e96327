// RUN: not itera-opt --ssm-pack-weights=rows=0 %s 2>&1 | FileCheck %s

// CHECK: expected a positive block height, but got 0
module {}
