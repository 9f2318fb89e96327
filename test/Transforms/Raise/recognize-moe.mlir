// RUN: itera-opt --ssm-recognize-moe --split-input-file %s | FileCheck %s

// Two experts, visited in reverse order, on two batches of three tokens.
// CHECK-LABEL: func @moe
// CHECK-SAME: %[[X:.*]]: tensor<2x3x4xf32>
func.func @moe(%x: tensor<2x3x4xf32>, %router: tensor<2x3x2xf32>) -> tensor<2x3x4xf32> {
  // CHECK-DAG: %[[U0:.*]] = ssm.weight "up0"
  // CHECK-DAG: %[[D0:.*]] = ssm.weight "down0"
  // CHECK-DAG: %[[U1:.*]] = ssm.weight "up1"
  // CHECK-DAG: %[[D1:.*]] = ssm.weight "down1"
  // CHECK-DAG: %[[V:.*]], %[[I:.*]] = ssm.top_k
  // CHECK-DAG: %[[G:.*]] = linalg.softmax
  // CHECK-DAG: %[[XF:.*]] = tensor.collapse_shape %[[X]] {{\[\[}}0, 1], [2]]
  // CHECK-DAG: %[[IF:.*]] = tensor.collapse_shape %[[I]] {{\[\[}}0, 1], [2]]
  // CHECK-DAG: %[[GF:.*]] = tensor.collapse_shape %[[G]] {{\[\[}}0, 1], [2]]
  // CHECK-DAG: %[[UE0:.*]] = tensor.expand_shape %[[U0]]
  // CHECK-DAG: %[[UE1:.*]] = tensor.expand_shape %[[U1]]
  // CHECK-DAG: %[[UP:.*]] = tensor.concat dim(0) %[[UE0]], %[[UE1]]
  // CHECK-DAG: %[[DE0:.*]] = tensor.expand_shape %[[D0]]
  // CHECK-DAG: %[[DE1:.*]] = tensor.expand_shape %[[D1]]
  // CHECK-DAG: %[[DOWN:.*]] = tensor.concat dim(0) %[[DE0]], %[[DE1]]
  // CHECK: %[[Y:.*]] = ssm.moe %[[XF]], %[[IF]], %[[GF]], %[[UP]], %[[DOWN]] gelu
  // CHECK-NEXT: %[[R:.*]] = tensor.expand_shape %[[Y]] {{\[\[}}0, 1], [2]]
  // CHECK-NEXT: return %[[R]]
  %wu0 = ssm.weight "up0" dense_resource<up0> : tensor<5x4xf32>
  %wd0 = ssm.weight "down0" dense_resource<down0> : tensor<4x5xf32>
  %wu1 = ssm.weight "up1" dense_resource<up1> : tensor<5x4xf32>
  %wd1 = ssm.weight "down1" dense_resource<down1> : tensor<4x5xf32>
  %no_votes = arith.constant dense<0> : tensor<2x3xi64>
  %no_gate = arith.constant dense<0.0> : tensor<6xf32>
  %three = arith.constant dense<3> : tensor<6xi64>
  %y0 = arith.constant dense<0.0> : tensor<2x3x4xf32>
  %ie = tensor.empty() : tensor<6x2xi64>
  %ye = tensor.empty() : tensor<6x4xf32>
  %top, %selected = ssm.top_k %router dim 2 : tensor<2x3x2xf32> -> tensor<2x3x2xf32>, tensor<2x3x2xi64>
  %gates = linalg.softmax dimension(2) ins(%top : tensor<2x3x2xf32>) outs(%top : tensor<2x3x2xf32>) -> tensor<2x3x2xf32>
  %flat = tensor.collapse_shape %x [[0, 1], [2]] : tensor<2x3x4xf32> into tensor<6x4xf32>
  %flat_selected = tensor.collapse_shape %selected [[0, 1], [2]] : tensor<2x3x2xi64> into tensor<6x2xi64>
  %flat_gates = tensor.collapse_shape %gates [[0, 1], [2]] : tensor<2x3x2xf32> into tensor<6x2xf32>
  %id1 = arith.constant dense<1> : tensor<2x3x2xi64>
  %eq1 = arith.cmpi eq, %selected, %id1 : tensor<2x3x2xi64>
  %one1 = arith.extui %eq1 : tensor<2x3x2xi1> to tensor<2x3x2xi64>
  %votes1 = linalg.reduce { arith.addi } ins(%one1 : tensor<2x3x2xi64>) outs(%no_votes : tensor<2x3xi64>) dimensions = [2]
  %mask1 = arith.cmpi sgt, %votes1, %no_votes : tensor<2x3xi64>
  %i1, %n1 = ssm.nonzero %mask1 : tensor<2x3xi1> -> tensor<2x6xi64>, tensor<i64>
  %it1 = linalg.transpose ins(%i1 : tensor<2x6xi64>) outs(%ie : tensor<6x2xi64>) permutation = [1, 0]
  %be1 = tensor.extract_slice %it1[0, 0] [6, 1] [1, 1] : tensor<6x2xi64> to tensor<6x1xi64>
  %b1 = tensor.collapse_shape %be1 [[0, 1]] : tensor<6x1xi64> into tensor<6xi64>
  %te1 = tensor.extract_slice %it1[0, 1] [6, 1] [1, 1] : tensor<6x2xi64> to tensor<6x1xi64>
  %t1 = tensor.collapse_shape %te1 [[0, 1]] : tensor<6x1xi64> into tensor<6xi64>
  %off1 = arith.muli %b1, %three : tensor<6xi64>
  %row1 = arith.addi %t1, %off1 : tensor<6xi64>
  %x1 = ssm.gather %flat, %row1 dim 0 : tensor<6x4xf32>, tensor<6xi64> -> tensor<6x4xf32>
  %up1 = ssm.linear %x1, %wu1 : tensor<6x4xf32>, tensor<5x4xf32> -> tensor<6x5xf32>
  %act1 = ssm.gelu %up1 : tensor<6x5xf32>
  %down1 = ssm.linear %act1, %wd1 : tensor<6x5xf32>, tensor<4x5xf32> -> tensor<6x4xf32>
  %sel1 = ssm.gather %flat_selected, %row1 dim 0 : tensor<6x2xi64>, tensor<6xi64> -> tensor<6x2xi64>
  %idr1 = arith.constant dense<1> : tensor<6x2xi64>
  %eqr1 = arith.cmpi eq, %sel1, %idr1 : tensor<6x2xi64>
  %gr1 = ssm.gather %flat_gates, %row1 dim 0 : tensor<6x2xf32>, tensor<6xi64> -> tensor<6x2xf32>
  %onr1 = arith.uitofp %eqr1 : tensor<6x2xi1> to tensor<6x2xf32>
  %gm1 = arith.mulf %gr1, %onr1 : tensor<6x2xf32>
  %g1 = linalg.reduce { arith.addf } ins(%gm1 : tensor<6x2xf32>) outs(%no_gate : tensor<6xf32>) dimensions = [1]
  %gb1 = linalg.broadcast ins(%g1 : tensor<6xf32>) outs(%ye : tensor<6x4xf32>) dimensions = [1]
  %w1 = arith.mulf %down1, %gb1 : tensor<6x4xf32>
  %pf1 = tensor.collapse_shape %y0 [[0, 1], [2]] : tensor<2x3x4xf32> into tensor<6x4xf32>
  %p1 = ssm.gather %pf1, %row1 dim 0 : tensor<6x4xf32>, tensor<6xi64> -> tensor<6x4xf32>
  %u1 = arith.addf %p1, %w1 : tensor<6x4xf32>
  %bc1 = tensor.expand_shape %b1 [[0, 1]] output_shape [6, 1] : tensor<6xi64> into tensor<6x1xi64>
  %tc1 = tensor.expand_shape %t1 [[0, 1]] output_shape [6, 1] : tensor<6xi64> into tensor<6x1xi64>
  %at1 = tensor.concat dim(1) %bc1, %tc1 : (tensor<6x1xi64>, tensor<6x1xi64>) -> tensor<6x2xi64>
  %y1 = ssm.scatter_nd %y0, %at1, %u1 valid(%n1 : tensor<i64>) replace : tensor<2x3x4xf32>, tensor<6x2xi64>, tensor<6x4xf32>
  %id0 = arith.constant dense<0> : tensor<2x3x2xi64>
  %eq0 = arith.cmpi eq, %selected, %id0 : tensor<2x3x2xi64>
  %one0 = arith.extui %eq0 : tensor<2x3x2xi1> to tensor<2x3x2xi64>
  %votes0 = linalg.reduce { arith.addi } ins(%one0 : tensor<2x3x2xi64>) outs(%no_votes : tensor<2x3xi64>) dimensions = [2]
  %mask0 = arith.cmpi sgt, %votes0, %no_votes : tensor<2x3xi64>
  %i0, %n0 = ssm.nonzero %mask0 : tensor<2x3xi1> -> tensor<2x6xi64>, tensor<i64>
  %it0 = linalg.transpose ins(%i0 : tensor<2x6xi64>) outs(%ie : tensor<6x2xi64>) permutation = [1, 0]
  %be0 = tensor.extract_slice %it0[0, 0] [6, 1] [1, 1] : tensor<6x2xi64> to tensor<6x1xi64>
  %b0 = tensor.collapse_shape %be0 [[0, 1]] : tensor<6x1xi64> into tensor<6xi64>
  %te0 = tensor.extract_slice %it0[0, 1] [6, 1] [1, 1] : tensor<6x2xi64> to tensor<6x1xi64>
  %t0 = tensor.collapse_shape %te0 [[0, 1]] : tensor<6x1xi64> into tensor<6xi64>
  %off0 = arith.muli %b0, %three : tensor<6xi64>
  %row0 = arith.addi %t0, %off0 : tensor<6xi64>
  %x0 = ssm.gather %flat, %row0 dim 0 : tensor<6x4xf32>, tensor<6xi64> -> tensor<6x4xf32>
  %up0 = ssm.linear %x0, %wu0 : tensor<6x4xf32>, tensor<5x4xf32> -> tensor<6x5xf32>
  %act0 = ssm.gelu %up0 : tensor<6x5xf32>
  %down0 = ssm.linear %act0, %wd0 : tensor<6x5xf32>, tensor<4x5xf32> -> tensor<6x4xf32>
  %sel0 = ssm.gather %flat_selected, %row0 dim 0 : tensor<6x2xi64>, tensor<6xi64> -> tensor<6x2xi64>
  %idr0 = arith.constant dense<0> : tensor<6x2xi64>
  %eqr0 = arith.cmpi eq, %sel0, %idr0 : tensor<6x2xi64>
  %gr0 = ssm.gather %flat_gates, %row0 dim 0 : tensor<6x2xf32>, tensor<6xi64> -> tensor<6x2xf32>
  %onr0 = arith.uitofp %eqr0 : tensor<6x2xi1> to tensor<6x2xf32>
  %gm0 = arith.mulf %gr0, %onr0 : tensor<6x2xf32>
  %g0 = linalg.reduce { arith.addf } ins(%gm0 : tensor<6x2xf32>) outs(%no_gate : tensor<6xf32>) dimensions = [1]
  %gb0 = linalg.broadcast ins(%g0 : tensor<6xf32>) outs(%ye : tensor<6x4xf32>) dimensions = [1]
  %w0 = arith.mulf %down0, %gb0 : tensor<6x4xf32>
  %pf0 = tensor.collapse_shape %y1 [[0, 1], [2]] : tensor<2x3x4xf32> into tensor<6x4xf32>
  %p0 = ssm.gather %pf0, %row0 dim 0 : tensor<6x4xf32>, tensor<6xi64> -> tensor<6x4xf32>
  %u0 = arith.addf %p0, %w0 : tensor<6x4xf32>
  %bc0 = tensor.expand_shape %b0 [[0, 1]] output_shape [6, 1] : tensor<6xi64> into tensor<6x1xi64>
  %tc0 = tensor.expand_shape %t0 [[0, 1]] output_shape [6, 1] : tensor<6xi64> into tensor<6x1xi64>
  %at0 = tensor.concat dim(1) %bc0, %tc0 : (tensor<6x1xi64>, tensor<6x1xi64>) -> tensor<6x2xi64>
  %y2 = ssm.scatter_nd %y1, %at0, %u0 valid(%n0 : tensor<i64>) replace : tensor<2x3x4xf32>, tensor<6x2xi64>, tensor<6x4xf32>
  return %y2 : tensor<2x3x4xf32>
}

// The index tuples may be all columns at once.
// CHECK-LABEL: func @tuples_at_once
func.func @tuples_at_once(%x: tensor<2x3x4xf32>, %router: tensor<2x3x2xf32>) -> tensor<2x3x4xf32> {
  // CHECK: ssm.moe
  %wu0 = ssm.weight "up0" dense_resource<up0> : tensor<5x4xf32>
  %wd0 = ssm.weight "down0" dense_resource<down0> : tensor<4x5xf32>
  %wu1 = ssm.weight "up1" dense_resource<up1> : tensor<5x4xf32>
  %wd1 = ssm.weight "down1" dense_resource<down1> : tensor<4x5xf32>
  %no_votes = arith.constant dense<0> : tensor<2x3xi64>
  %no_gate = arith.constant dense<0.0> : tensor<6xf32>
  %three = arith.constant dense<3> : tensor<6xi64>
  %y0 = arith.constant dense<0.0> : tensor<2x3x4xf32>
  %ie = tensor.empty() : tensor<6x2xi64>
  %ye = tensor.empty() : tensor<6x4xf32>
  %top, %selected = ssm.top_k %router dim 2 : tensor<2x3x2xf32> -> tensor<2x3x2xf32>, tensor<2x3x2xi64>
  %gates = linalg.softmax dimension(2) ins(%top : tensor<2x3x2xf32>) outs(%top : tensor<2x3x2xf32>) -> tensor<2x3x2xf32>
  %flat = tensor.collapse_shape %x [[0, 1], [2]] : tensor<2x3x4xf32> into tensor<6x4xf32>
  %flat_selected = tensor.collapse_shape %selected [[0, 1], [2]] : tensor<2x3x2xi64> into tensor<6x2xi64>
  %flat_gates = tensor.collapse_shape %gates [[0, 1], [2]] : tensor<2x3x2xf32> into tensor<6x2xf32>
  %id0 = arith.constant dense<0> : tensor<2x3x2xi64>
  %eq0 = arith.cmpi eq, %selected, %id0 : tensor<2x3x2xi64>
  %one0 = arith.extui %eq0 : tensor<2x3x2xi1> to tensor<2x3x2xi64>
  %votes0 = linalg.reduce { arith.addi } ins(%one0 : tensor<2x3x2xi64>) outs(%no_votes : tensor<2x3xi64>) dimensions = [2]
  %mask0 = arith.cmpi sgt, %votes0, %no_votes : tensor<2x3xi64>
  %i0, %n0 = ssm.nonzero %mask0 : tensor<2x3xi1> -> tensor<2x6xi64>, tensor<i64>
  %it0 = linalg.transpose ins(%i0 : tensor<2x6xi64>) outs(%ie : tensor<6x2xi64>) permutation = [1, 0]
  %be0 = tensor.extract_slice %it0[0, 0] [6, 1] [1, 1] : tensor<6x2xi64> to tensor<6x1xi64>
  %b0 = tensor.collapse_shape %be0 [[0, 1]] : tensor<6x1xi64> into tensor<6xi64>
  %te0 = tensor.extract_slice %it0[0, 1] [6, 1] [1, 1] : tensor<6x2xi64> to tensor<6x1xi64>
  %t0 = tensor.collapse_shape %te0 [[0, 1]] : tensor<6x1xi64> into tensor<6xi64>
  %off0 = arith.muli %b0, %three : tensor<6xi64>
  %row0 = arith.addi %t0, %off0 : tensor<6xi64>
  %x0 = ssm.gather %flat, %row0 dim 0 : tensor<6x4xf32>, tensor<6xi64> -> tensor<6x4xf32>
  %up0 = ssm.linear %x0, %wu0 : tensor<6x4xf32>, tensor<5x4xf32> -> tensor<6x5xf32>
  %act0 = ssm.gelu %up0 : tensor<6x5xf32>
  %down0 = ssm.linear %act0, %wd0 : tensor<6x5xf32>, tensor<4x5xf32> -> tensor<6x4xf32>
  %sel0 = ssm.gather %flat_selected, %row0 dim 0 : tensor<6x2xi64>, tensor<6xi64> -> tensor<6x2xi64>
  %idr0 = arith.constant dense<0> : tensor<6x2xi64>
  %eqr0 = arith.cmpi eq, %sel0, %idr0 : tensor<6x2xi64>
  %gr0 = ssm.gather %flat_gates, %row0 dim 0 : tensor<6x2xf32>, tensor<6xi64> -> tensor<6x2xf32>
  %onr0 = arith.uitofp %eqr0 : tensor<6x2xi1> to tensor<6x2xf32>
  %gm0 = arith.mulf %gr0, %onr0 : tensor<6x2xf32>
  %g0 = linalg.reduce { arith.addf } ins(%gm0 : tensor<6x2xf32>) outs(%no_gate : tensor<6xf32>) dimensions = [1]
  %gb0 = linalg.broadcast ins(%g0 : tensor<6xf32>) outs(%ye : tensor<6x4xf32>) dimensions = [1]
  %w0 = arith.mulf %down0, %gb0 : tensor<6x4xf32>
  %pf0 = tensor.collapse_shape %y0 [[0, 1], [2]] : tensor<2x3x4xf32> into tensor<6x4xf32>
  %p0 = ssm.gather %pf0, %row0 dim 0 : tensor<6x4xf32>, tensor<6xi64> -> tensor<6x4xf32>
  %u0 = arith.addf %p0, %w0 : tensor<6x4xf32>
  %ax0 = tensor.expand_shape %it0 [[0], [1, 2]] output_shape [6, 2, 1] : tensor<6x2xi64> into tensor<6x2x1xi64>
  %at0 = tensor.collapse_shape %ax0 [[0], [1, 2]] : tensor<6x2x1xi64> into tensor<6x2xi64>
  %y1 = ssm.scatter_nd %y0, %at0, %u0 valid(%n0 : tensor<i64>) replace : tensor<2x3x4xf32>, tensor<6x2xi64>, tensor<6x4xf32>
  %id1 = arith.constant dense<1> : tensor<2x3x2xi64>
  %eq1 = arith.cmpi eq, %selected, %id1 : tensor<2x3x2xi64>
  %one1 = arith.extui %eq1 : tensor<2x3x2xi1> to tensor<2x3x2xi64>
  %votes1 = linalg.reduce { arith.addi } ins(%one1 : tensor<2x3x2xi64>) outs(%no_votes : tensor<2x3xi64>) dimensions = [2]
  %mask1 = arith.cmpi sgt, %votes1, %no_votes : tensor<2x3xi64>
  %i1, %n1 = ssm.nonzero %mask1 : tensor<2x3xi1> -> tensor<2x6xi64>, tensor<i64>
  %it1 = linalg.transpose ins(%i1 : tensor<2x6xi64>) outs(%ie : tensor<6x2xi64>) permutation = [1, 0]
  %be1 = tensor.extract_slice %it1[0, 0] [6, 1] [1, 1] : tensor<6x2xi64> to tensor<6x1xi64>
  %b1 = tensor.collapse_shape %be1 [[0, 1]] : tensor<6x1xi64> into tensor<6xi64>
  %te1 = tensor.extract_slice %it1[0, 1] [6, 1] [1, 1] : tensor<6x2xi64> to tensor<6x1xi64>
  %t1 = tensor.collapse_shape %te1 [[0, 1]] : tensor<6x1xi64> into tensor<6xi64>
  %off1 = arith.muli %b1, %three : tensor<6xi64>
  %row1 = arith.addi %t1, %off1 : tensor<6xi64>
  %x1 = ssm.gather %flat, %row1 dim 0 : tensor<6x4xf32>, tensor<6xi64> -> tensor<6x4xf32>
  %up1 = ssm.linear %x1, %wu1 : tensor<6x4xf32>, tensor<5x4xf32> -> tensor<6x5xf32>
  %act1 = ssm.gelu %up1 : tensor<6x5xf32>
  %down1 = ssm.linear %act1, %wd1 : tensor<6x5xf32>, tensor<4x5xf32> -> tensor<6x4xf32>
  %sel1 = ssm.gather %flat_selected, %row1 dim 0 : tensor<6x2xi64>, tensor<6xi64> -> tensor<6x2xi64>
  %idr1 = arith.constant dense<1> : tensor<6x2xi64>
  %eqr1 = arith.cmpi eq, %sel1, %idr1 : tensor<6x2xi64>
  %gr1 = ssm.gather %flat_gates, %row1 dim 0 : tensor<6x2xf32>, tensor<6xi64> -> tensor<6x2xf32>
  %onr1 = arith.uitofp %eqr1 : tensor<6x2xi1> to tensor<6x2xf32>
  %gm1 = arith.mulf %gr1, %onr1 : tensor<6x2xf32>
  %g1 = linalg.reduce { arith.addf } ins(%gm1 : tensor<6x2xf32>) outs(%no_gate : tensor<6xf32>) dimensions = [1]
  %gb1 = linalg.broadcast ins(%g1 : tensor<6xf32>) outs(%ye : tensor<6x4xf32>) dimensions = [1]
  %w1 = arith.mulf %down1, %gb1 : tensor<6x4xf32>
  %pf1 = tensor.collapse_shape %y1 [[0, 1], [2]] : tensor<2x3x4xf32> into tensor<6x4xf32>
  %p1 = ssm.gather %pf1, %row1 dim 0 : tensor<6x4xf32>, tensor<6xi64> -> tensor<6x4xf32>
  %u1 = arith.addf %p1, %w1 : tensor<6x4xf32>
  %ax1 = tensor.expand_shape %it1 [[0], [1, 2]] output_shape [6, 2, 1] : tensor<6x2xi64> into tensor<6x2x1xi64>
  %at1 = tensor.collapse_shape %ax1 [[0], [1, 2]] : tensor<6x2x1xi64> into tensor<6x2xi64>
  %y2 = ssm.scatter_nd %y1, %at1, %u1 valid(%n1 : tensor<i64>) replace : tensor<2x3x4xf32>, tensor<6x2xi64>, tensor<6x4xf32>
  return %y2 : tensor<2x3x4xf32>
}

// -----

// With one slot per token there is nothing to sum over.
// CHECK-LABEL: func @one_slot
func.func @one_slot(%x: tensor<2x3x4xf32>, %router: tensor<2x3x2xf32>) -> tensor<2x3x4xf32> {
  // CHECK: ssm.moe %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}} gelu : tensor<6x4xf32>, tensor<6x1xi64>, tensor<6x1xf32>
  %wu0 = ssm.weight "up0" dense_resource<up0> : tensor<5x4xf32>
  %wd0 = ssm.weight "down0" dense_resource<down0> : tensor<4x5xf32>
  %wu1 = ssm.weight "up1" dense_resource<up1> : tensor<5x4xf32>
  %wd1 = ssm.weight "down1" dense_resource<down1> : tensor<4x5xf32>
  %no_votes = arith.constant dense<0> : tensor<2x3xi64>
  %no_gate = arith.constant dense<0.0> : tensor<6xf32>
  %three = arith.constant dense<3> : tensor<6xi64>
  %y0 = arith.constant dense<0.0> : tensor<2x3x4xf32>
  %ie = tensor.empty() : tensor<6x2xi64>
  %ye = tensor.empty() : tensor<6x4xf32>
  %top, %selected = ssm.top_k %router dim 2 : tensor<2x3x2xf32> -> tensor<2x3x1xf32>, tensor<2x3x1xi64>
  %gates = linalg.softmax dimension(2) ins(%top : tensor<2x3x1xf32>) outs(%top : tensor<2x3x1xf32>) -> tensor<2x3x1xf32>
  %flat = tensor.collapse_shape %x [[0, 1], [2]] : tensor<2x3x4xf32> into tensor<6x4xf32>
  %flat_selected = tensor.collapse_shape %selected [[0, 1], [2]] : tensor<2x3x1xi64> into tensor<6x1xi64>
  %flat_gates = tensor.collapse_shape %gates [[0, 1], [2]] : tensor<2x3x1xf32> into tensor<6x1xf32>
  %id0 = arith.constant dense<0> : tensor<2x3x1xi64>
  %eq0 = arith.cmpi eq, %selected, %id0 : tensor<2x3x1xi64>
  %one0 = arith.extui %eq0 : tensor<2x3x1xi1> to tensor<2x3x1xi64>
  %votes0 = tensor.collapse_shape %one0 [[0], [1, 2]] : tensor<2x3x1xi64> into tensor<2x3xi64>
  %mask0 = arith.cmpi sgt, %votes0, %no_votes : tensor<2x3xi64>
  %i0, %n0 = ssm.nonzero %mask0 : tensor<2x3xi1> -> tensor<2x6xi64>, tensor<i64>
  %it0 = linalg.transpose ins(%i0 : tensor<2x6xi64>) outs(%ie : tensor<6x2xi64>) permutation = [1, 0]
  %be0 = tensor.extract_slice %it0[0, 0] [6, 1] [1, 1] : tensor<6x2xi64> to tensor<6x1xi64>
  %b0 = tensor.collapse_shape %be0 [[0, 1]] : tensor<6x1xi64> into tensor<6xi64>
  %te0 = tensor.extract_slice %it0[0, 1] [6, 1] [1, 1] : tensor<6x2xi64> to tensor<6x1xi64>
  %t0 = tensor.collapse_shape %te0 [[0, 1]] : tensor<6x1xi64> into tensor<6xi64>
  %off0 = arith.muli %b0, %three : tensor<6xi64>
  %row0 = arith.addi %t0, %off0 : tensor<6xi64>
  %x0 = ssm.gather %flat, %row0 dim 0 : tensor<6x4xf32>, tensor<6xi64> -> tensor<6x4xf32>
  %up0 = ssm.linear %x0, %wu0 : tensor<6x4xf32>, tensor<5x4xf32> -> tensor<6x5xf32>
  %act0 = ssm.gelu %up0 : tensor<6x5xf32>
  %down0 = ssm.linear %act0, %wd0 : tensor<6x5xf32>, tensor<4x5xf32> -> tensor<6x4xf32>
  %sel0 = ssm.gather %flat_selected, %row0 dim 0 : tensor<6x1xi64>, tensor<6xi64> -> tensor<6x1xi64>
  %idr0 = arith.constant dense<0> : tensor<6x1xi64>
  %eqr0 = arith.cmpi eq, %sel0, %idr0 : tensor<6x1xi64>
  %gr0 = ssm.gather %flat_gates, %row0 dim 0 : tensor<6x1xf32>, tensor<6xi64> -> tensor<6x1xf32>
  %onr0 = arith.uitofp %eqr0 : tensor<6x1xi1> to tensor<6x1xf32>
  %gm0 = arith.mulf %gr0, %onr0 : tensor<6x1xf32>
  %g0 = tensor.collapse_shape %gm0 [[0, 1]] : tensor<6x1xf32> into tensor<6xf32>
  %gb0 = linalg.broadcast ins(%g0 : tensor<6xf32>) outs(%ye : tensor<6x4xf32>) dimensions = [1]
  %w0 = arith.mulf %down0, %gb0 : tensor<6x4xf32>
  %pf0 = tensor.collapse_shape %y0 [[0, 1], [2]] : tensor<2x3x4xf32> into tensor<6x4xf32>
  %p0 = ssm.gather %pf0, %row0 dim 0 : tensor<6x4xf32>, tensor<6xi64> -> tensor<6x4xf32>
  %u0 = arith.addf %p0, %w0 : tensor<6x4xf32>
  %bc0 = tensor.expand_shape %b0 [[0, 1]] output_shape [6, 1] : tensor<6xi64> into tensor<6x1xi64>
  %tc0 = tensor.expand_shape %t0 [[0, 1]] output_shape [6, 1] : tensor<6xi64> into tensor<6x1xi64>
  %at0 = tensor.concat dim(1) %bc0, %tc0 : (tensor<6x1xi64>, tensor<6x1xi64>) -> tensor<6x2xi64>
  %y1 = ssm.scatter_nd %y0, %at0, %u0 valid(%n0 : tensor<i64>) replace : tensor<2x3x4xf32>, tensor<6x2xi64>, tensor<6x4xf32>
  %id1 = arith.constant dense<1> : tensor<2x3x1xi64>
  %eq1 = arith.cmpi eq, %selected, %id1 : tensor<2x3x1xi64>
  %one1 = arith.extui %eq1 : tensor<2x3x1xi1> to tensor<2x3x1xi64>
  %votes1 = tensor.collapse_shape %one1 [[0], [1, 2]] : tensor<2x3x1xi64> into tensor<2x3xi64>
  %mask1 = arith.cmpi sgt, %votes1, %no_votes : tensor<2x3xi64>
  %i1, %n1 = ssm.nonzero %mask1 : tensor<2x3xi1> -> tensor<2x6xi64>, tensor<i64>
  %it1 = linalg.transpose ins(%i1 : tensor<2x6xi64>) outs(%ie : tensor<6x2xi64>) permutation = [1, 0]
  %be1 = tensor.extract_slice %it1[0, 0] [6, 1] [1, 1] : tensor<6x2xi64> to tensor<6x1xi64>
  %b1 = tensor.collapse_shape %be1 [[0, 1]] : tensor<6x1xi64> into tensor<6xi64>
  %te1 = tensor.extract_slice %it1[0, 1] [6, 1] [1, 1] : tensor<6x2xi64> to tensor<6x1xi64>
  %t1 = tensor.collapse_shape %te1 [[0, 1]] : tensor<6x1xi64> into tensor<6xi64>
  %off1 = arith.muli %b1, %three : tensor<6xi64>
  %row1 = arith.addi %t1, %off1 : tensor<6xi64>
  %x1 = ssm.gather %flat, %row1 dim 0 : tensor<6x4xf32>, tensor<6xi64> -> tensor<6x4xf32>
  %up1 = ssm.linear %x1, %wu1 : tensor<6x4xf32>, tensor<5x4xf32> -> tensor<6x5xf32>
  %act1 = ssm.gelu %up1 : tensor<6x5xf32>
  %down1 = ssm.linear %act1, %wd1 : tensor<6x5xf32>, tensor<4x5xf32> -> tensor<6x4xf32>
  %sel1 = ssm.gather %flat_selected, %row1 dim 0 : tensor<6x1xi64>, tensor<6xi64> -> tensor<6x1xi64>
  %idr1 = arith.constant dense<1> : tensor<6x1xi64>
  %eqr1 = arith.cmpi eq, %sel1, %idr1 : tensor<6x1xi64>
  %gr1 = ssm.gather %flat_gates, %row1 dim 0 : tensor<6x1xf32>, tensor<6xi64> -> tensor<6x1xf32>
  %onr1 = arith.uitofp %eqr1 : tensor<6x1xi1> to tensor<6x1xf32>
  %gm1 = arith.mulf %gr1, %onr1 : tensor<6x1xf32>
  %g1 = tensor.collapse_shape %gm1 [[0, 1]] : tensor<6x1xf32> into tensor<6xf32>
  %gb1 = linalg.broadcast ins(%g1 : tensor<6xf32>) outs(%ye : tensor<6x4xf32>) dimensions = [1]
  %w1 = arith.mulf %down1, %gb1 : tensor<6x4xf32>
  %pf1 = tensor.collapse_shape %y1 [[0, 1], [2]] : tensor<2x3x4xf32> into tensor<6x4xf32>
  %p1 = ssm.gather %pf1, %row1 dim 0 : tensor<6x4xf32>, tensor<6xi64> -> tensor<6x4xf32>
  %u1 = arith.addf %p1, %w1 : tensor<6x4xf32>
  %bc1 = tensor.expand_shape %b1 [[0, 1]] output_shape [6, 1] : tensor<6xi64> into tensor<6x1xi64>
  %tc1 = tensor.expand_shape %t1 [[0, 1]] output_shape [6, 1] : tensor<6xi64> into tensor<6x1xi64>
  %at1 = tensor.concat dim(1) %bc1, %tc1 : (tensor<6x1xi64>, tensor<6x1xi64>) -> tensor<6x2xi64>
  %y2 = ssm.scatter_nd %y1, %at1, %u1 valid(%n1 : tensor<i64>) replace : tensor<2x3x4xf32>, tensor<6x2xi64>, tensor<6x4xf32>
  return %y2 : tensor<2x3x4xf32>
}

// -----

// -----

// The router can select a third expert, which no scatter serves.
// CHECK-LABEL: func @missing_expert
// CHECK-NOT: ssm.moe
func.func @missing_expert(%x: tensor<2x3x4xf32>, %router: tensor<2x3x3xf32>) -> tensor<2x3x4xf32> {
  %wu0 = ssm.weight "up0" dense_resource<up0> : tensor<5x4xf32>
  %wd0 = ssm.weight "down0" dense_resource<down0> : tensor<4x5xf32>
  %wu1 = ssm.weight "up1" dense_resource<up1> : tensor<5x4xf32>
  %wd1 = ssm.weight "down1" dense_resource<down1> : tensor<4x5xf32>
  %no_votes = arith.constant dense<0> : tensor<2x3xi64>
  %no_gate = arith.constant dense<0.0> : tensor<6xf32>
  %three = arith.constant dense<3> : tensor<6xi64>
  %y0 = arith.constant dense<0.0> : tensor<2x3x4xf32>
  %ie = tensor.empty() : tensor<6x2xi64>
  %ye = tensor.empty() : tensor<6x4xf32>
  %top, %selected = ssm.top_k %router dim 2 : tensor<2x3x3xf32> -> tensor<2x3x2xf32>, tensor<2x3x2xi64>
  %gates = linalg.softmax dimension(2) ins(%top : tensor<2x3x2xf32>) outs(%top : tensor<2x3x2xf32>) -> tensor<2x3x2xf32>
  %flat = tensor.collapse_shape %x [[0, 1], [2]] : tensor<2x3x4xf32> into tensor<6x4xf32>
  %flat_selected = tensor.collapse_shape %selected [[0, 1], [2]] : tensor<2x3x2xi64> into tensor<6x2xi64>
  %flat_gates = tensor.collapse_shape %gates [[0, 1], [2]] : tensor<2x3x2xf32> into tensor<6x2xf32>
  %id0 = arith.constant dense<0> : tensor<2x3x2xi64>
  %eq0 = arith.cmpi eq, %selected, %id0 : tensor<2x3x2xi64>
  %one0 = arith.extui %eq0 : tensor<2x3x2xi1> to tensor<2x3x2xi64>
  %votes0 = linalg.reduce { arith.addi } ins(%one0 : tensor<2x3x2xi64>) outs(%no_votes : tensor<2x3xi64>) dimensions = [2]
  %mask0 = arith.cmpi sgt, %votes0, %no_votes : tensor<2x3xi64>
  %i0, %n0 = ssm.nonzero %mask0 : tensor<2x3xi1> -> tensor<2x6xi64>, tensor<i64>
  %it0 = linalg.transpose ins(%i0 : tensor<2x6xi64>) outs(%ie : tensor<6x2xi64>) permutation = [1, 0]
  %be0 = tensor.extract_slice %it0[0, 0] [6, 1] [1, 1] : tensor<6x2xi64> to tensor<6x1xi64>
  %b0 = tensor.collapse_shape %be0 [[0, 1]] : tensor<6x1xi64> into tensor<6xi64>
  %te0 = tensor.extract_slice %it0[0, 1] [6, 1] [1, 1] : tensor<6x2xi64> to tensor<6x1xi64>
  %t0 = tensor.collapse_shape %te0 [[0, 1]] : tensor<6x1xi64> into tensor<6xi64>
  %off0 = arith.muli %b0, %three : tensor<6xi64>
  %row0 = arith.addi %t0, %off0 : tensor<6xi64>
  %x0 = ssm.gather %flat, %row0 dim 0 : tensor<6x4xf32>, tensor<6xi64> -> tensor<6x4xf32>
  %up0 = ssm.linear %x0, %wu0 : tensor<6x4xf32>, tensor<5x4xf32> -> tensor<6x5xf32>
  %act0 = ssm.gelu %up0 : tensor<6x5xf32>
  %down0 = ssm.linear %act0, %wd0 : tensor<6x5xf32>, tensor<4x5xf32> -> tensor<6x4xf32>
  %sel0 = ssm.gather %flat_selected, %row0 dim 0 : tensor<6x2xi64>, tensor<6xi64> -> tensor<6x2xi64>
  %idr0 = arith.constant dense<0> : tensor<6x2xi64>
  %eqr0 = arith.cmpi eq, %sel0, %idr0 : tensor<6x2xi64>
  %gr0 = ssm.gather %flat_gates, %row0 dim 0 : tensor<6x2xf32>, tensor<6xi64> -> tensor<6x2xf32>
  %onr0 = arith.uitofp %eqr0 : tensor<6x2xi1> to tensor<6x2xf32>
  %gm0 = arith.mulf %gr0, %onr0 : tensor<6x2xf32>
  %g0 = linalg.reduce { arith.addf } ins(%gm0 : tensor<6x2xf32>) outs(%no_gate : tensor<6xf32>) dimensions = [1]
  %gb0 = linalg.broadcast ins(%g0 : tensor<6xf32>) outs(%ye : tensor<6x4xf32>) dimensions = [1]
  %w0 = arith.mulf %down0, %gb0 : tensor<6x4xf32>
  %pf0 = tensor.collapse_shape %y0 [[0, 1], [2]] : tensor<2x3x4xf32> into tensor<6x4xf32>
  %p0 = ssm.gather %pf0, %row0 dim 0 : tensor<6x4xf32>, tensor<6xi64> -> tensor<6x4xf32>
  %u0 = arith.addf %p0, %w0 : tensor<6x4xf32>
  %bc0 = tensor.expand_shape %b0 [[0, 1]] output_shape [6, 1] : tensor<6xi64> into tensor<6x1xi64>
  %tc0 = tensor.expand_shape %t0 [[0, 1]] output_shape [6, 1] : tensor<6xi64> into tensor<6x1xi64>
  %at0 = tensor.concat dim(1) %bc0, %tc0 : (tensor<6x1xi64>, tensor<6x1xi64>) -> tensor<6x2xi64>
  %y1 = ssm.scatter_nd %y0, %at0, %u0 valid(%n0 : tensor<i64>) replace : tensor<2x3x4xf32>, tensor<6x2xi64>, tensor<6x4xf32>
  %id1 = arith.constant dense<1> : tensor<2x3x2xi64>
  %eq1 = arith.cmpi eq, %selected, %id1 : tensor<2x3x2xi64>
  %one1 = arith.extui %eq1 : tensor<2x3x2xi1> to tensor<2x3x2xi64>
  %votes1 = linalg.reduce { arith.addi } ins(%one1 : tensor<2x3x2xi64>) outs(%no_votes : tensor<2x3xi64>) dimensions = [2]
  %mask1 = arith.cmpi sgt, %votes1, %no_votes : tensor<2x3xi64>
  %i1, %n1 = ssm.nonzero %mask1 : tensor<2x3xi1> -> tensor<2x6xi64>, tensor<i64>
  %it1 = linalg.transpose ins(%i1 : tensor<2x6xi64>) outs(%ie : tensor<6x2xi64>) permutation = [1, 0]
  %be1 = tensor.extract_slice %it1[0, 0] [6, 1] [1, 1] : tensor<6x2xi64> to tensor<6x1xi64>
  %b1 = tensor.collapse_shape %be1 [[0, 1]] : tensor<6x1xi64> into tensor<6xi64>
  %te1 = tensor.extract_slice %it1[0, 1] [6, 1] [1, 1] : tensor<6x2xi64> to tensor<6x1xi64>
  %t1 = tensor.collapse_shape %te1 [[0, 1]] : tensor<6x1xi64> into tensor<6xi64>
  %off1 = arith.muli %b1, %three : tensor<6xi64>
  %row1 = arith.addi %t1, %off1 : tensor<6xi64>
  %x1 = ssm.gather %flat, %row1 dim 0 : tensor<6x4xf32>, tensor<6xi64> -> tensor<6x4xf32>
  %up1 = ssm.linear %x1, %wu1 : tensor<6x4xf32>, tensor<5x4xf32> -> tensor<6x5xf32>
  %act1 = ssm.gelu %up1 : tensor<6x5xf32>
  %down1 = ssm.linear %act1, %wd1 : tensor<6x5xf32>, tensor<4x5xf32> -> tensor<6x4xf32>
  %sel1 = ssm.gather %flat_selected, %row1 dim 0 : tensor<6x2xi64>, tensor<6xi64> -> tensor<6x2xi64>
  %idr1 = arith.constant dense<1> : tensor<6x2xi64>
  %eqr1 = arith.cmpi eq, %sel1, %idr1 : tensor<6x2xi64>
  %gr1 = ssm.gather %flat_gates, %row1 dim 0 : tensor<6x2xf32>, tensor<6xi64> -> tensor<6x2xf32>
  %onr1 = arith.uitofp %eqr1 : tensor<6x2xi1> to tensor<6x2xf32>
  %gm1 = arith.mulf %gr1, %onr1 : tensor<6x2xf32>
  %g1 = linalg.reduce { arith.addf } ins(%gm1 : tensor<6x2xf32>) outs(%no_gate : tensor<6xf32>) dimensions = [1]
  %gb1 = linalg.broadcast ins(%g1 : tensor<6xf32>) outs(%ye : tensor<6x4xf32>) dimensions = [1]
  %w1 = arith.mulf %down1, %gb1 : tensor<6x4xf32>
  %pf1 = tensor.collapse_shape %y1 [[0, 1], [2]] : tensor<2x3x4xf32> into tensor<6x4xf32>
  %p1 = ssm.gather %pf1, %row1 dim 0 : tensor<6x4xf32>, tensor<6xi64> -> tensor<6x4xf32>
  %u1 = arith.addf %p1, %w1 : tensor<6x4xf32>
  %bc1 = tensor.expand_shape %b1 [[0, 1]] output_shape [6, 1] : tensor<6xi64> into tensor<6x1xi64>
  %tc1 = tensor.expand_shape %t1 [[0, 1]] output_shape [6, 1] : tensor<6xi64> into tensor<6x1xi64>
  %at1 = tensor.concat dim(1) %bc1, %tc1 : (tensor<6x1xi64>, tensor<6x1xi64>) -> tensor<6x2xi64>
  %y2 = ssm.scatter_nd %y1, %at1, %u1 valid(%n1 : tensor<i64>) replace : tensor<2x3x4xf32>, tensor<6x2xi64>, tensor<6x4xf32>
  return %y2 : tensor<2x3x4xf32>
}

// -----

// The gate of each expert is that of the other.
// CHECK-LABEL: func @wrong_gate
// CHECK-NOT: ssm.moe
func.func @wrong_gate(%x: tensor<2x3x4xf32>, %router: tensor<2x3x2xf32>) -> tensor<2x3x4xf32> {
  %wu0 = ssm.weight "up0" dense_resource<up0> : tensor<5x4xf32>
  %wd0 = ssm.weight "down0" dense_resource<down0> : tensor<4x5xf32>
  %wu1 = ssm.weight "up1" dense_resource<up1> : tensor<5x4xf32>
  %wd1 = ssm.weight "down1" dense_resource<down1> : tensor<4x5xf32>
  %no_votes = arith.constant dense<0> : tensor<2x3xi64>
  %no_gate = arith.constant dense<0.0> : tensor<6xf32>
  %three = arith.constant dense<3> : tensor<6xi64>
  %y0 = arith.constant dense<0.0> : tensor<2x3x4xf32>
  %ie = tensor.empty() : tensor<6x2xi64>
  %ye = tensor.empty() : tensor<6x4xf32>
  %top, %selected = ssm.top_k %router dim 2 : tensor<2x3x2xf32> -> tensor<2x3x2xf32>, tensor<2x3x2xi64>
  %gates = linalg.softmax dimension(2) ins(%top : tensor<2x3x2xf32>) outs(%top : tensor<2x3x2xf32>) -> tensor<2x3x2xf32>
  %flat = tensor.collapse_shape %x [[0, 1], [2]] : tensor<2x3x4xf32> into tensor<6x4xf32>
  %flat_selected = tensor.collapse_shape %selected [[0, 1], [2]] : tensor<2x3x2xi64> into tensor<6x2xi64>
  %flat_gates = tensor.collapse_shape %gates [[0, 1], [2]] : tensor<2x3x2xf32> into tensor<6x2xf32>
  %id0 = arith.constant dense<0> : tensor<2x3x2xi64>
  %eq0 = arith.cmpi eq, %selected, %id0 : tensor<2x3x2xi64>
  %one0 = arith.extui %eq0 : tensor<2x3x2xi1> to tensor<2x3x2xi64>
  %votes0 = linalg.reduce { arith.addi } ins(%one0 : tensor<2x3x2xi64>) outs(%no_votes : tensor<2x3xi64>) dimensions = [2]
  %mask0 = arith.cmpi sgt, %votes0, %no_votes : tensor<2x3xi64>
  %i0, %n0 = ssm.nonzero %mask0 : tensor<2x3xi1> -> tensor<2x6xi64>, tensor<i64>
  %it0 = linalg.transpose ins(%i0 : tensor<2x6xi64>) outs(%ie : tensor<6x2xi64>) permutation = [1, 0]
  %be0 = tensor.extract_slice %it0[0, 0] [6, 1] [1, 1] : tensor<6x2xi64> to tensor<6x1xi64>
  %b0 = tensor.collapse_shape %be0 [[0, 1]] : tensor<6x1xi64> into tensor<6xi64>
  %te0 = tensor.extract_slice %it0[0, 1] [6, 1] [1, 1] : tensor<6x2xi64> to tensor<6x1xi64>
  %t0 = tensor.collapse_shape %te0 [[0, 1]] : tensor<6x1xi64> into tensor<6xi64>
  %off0 = arith.muli %b0, %three : tensor<6xi64>
  %row0 = arith.addi %t0, %off0 : tensor<6xi64>
  %x0 = ssm.gather %flat, %row0 dim 0 : tensor<6x4xf32>, tensor<6xi64> -> tensor<6x4xf32>
  %up0 = ssm.linear %x0, %wu0 : tensor<6x4xf32>, tensor<5x4xf32> -> tensor<6x5xf32>
  %act0 = ssm.gelu %up0 : tensor<6x5xf32>
  %down0 = ssm.linear %act0, %wd0 : tensor<6x5xf32>, tensor<4x5xf32> -> tensor<6x4xf32>
  %sel0 = ssm.gather %flat_selected, %row0 dim 0 : tensor<6x2xi64>, tensor<6xi64> -> tensor<6x2xi64>
  %idr0 = arith.constant dense<1> : tensor<6x2xi64>
  %eqr0 = arith.cmpi eq, %sel0, %idr0 : tensor<6x2xi64>
  %gr0 = ssm.gather %flat_gates, %row0 dim 0 : tensor<6x2xf32>, tensor<6xi64> -> tensor<6x2xf32>
  %onr0 = arith.uitofp %eqr0 : tensor<6x2xi1> to tensor<6x2xf32>
  %gm0 = arith.mulf %gr0, %onr0 : tensor<6x2xf32>
  %g0 = linalg.reduce { arith.addf } ins(%gm0 : tensor<6x2xf32>) outs(%no_gate : tensor<6xf32>) dimensions = [1]
  %gb0 = linalg.broadcast ins(%g0 : tensor<6xf32>) outs(%ye : tensor<6x4xf32>) dimensions = [1]
  %w0 = arith.mulf %down0, %gb0 : tensor<6x4xf32>
  %pf0 = tensor.collapse_shape %y0 [[0, 1], [2]] : tensor<2x3x4xf32> into tensor<6x4xf32>
  %p0 = ssm.gather %pf0, %row0 dim 0 : tensor<6x4xf32>, tensor<6xi64> -> tensor<6x4xf32>
  %u0 = arith.addf %p0, %w0 : tensor<6x4xf32>
  %bc0 = tensor.expand_shape %b0 [[0, 1]] output_shape [6, 1] : tensor<6xi64> into tensor<6x1xi64>
  %tc0 = tensor.expand_shape %t0 [[0, 1]] output_shape [6, 1] : tensor<6xi64> into tensor<6x1xi64>
  %at0 = tensor.concat dim(1) %bc0, %tc0 : (tensor<6x1xi64>, tensor<6x1xi64>) -> tensor<6x2xi64>
  %y1 = ssm.scatter_nd %y0, %at0, %u0 valid(%n0 : tensor<i64>) replace : tensor<2x3x4xf32>, tensor<6x2xi64>, tensor<6x4xf32>
  %id1 = arith.constant dense<1> : tensor<2x3x2xi64>
  %eq1 = arith.cmpi eq, %selected, %id1 : tensor<2x3x2xi64>
  %one1 = arith.extui %eq1 : tensor<2x3x2xi1> to tensor<2x3x2xi64>
  %votes1 = linalg.reduce { arith.addi } ins(%one1 : tensor<2x3x2xi64>) outs(%no_votes : tensor<2x3xi64>) dimensions = [2]
  %mask1 = arith.cmpi sgt, %votes1, %no_votes : tensor<2x3xi64>
  %i1, %n1 = ssm.nonzero %mask1 : tensor<2x3xi1> -> tensor<2x6xi64>, tensor<i64>
  %it1 = linalg.transpose ins(%i1 : tensor<2x6xi64>) outs(%ie : tensor<6x2xi64>) permutation = [1, 0]
  %be1 = tensor.extract_slice %it1[0, 0] [6, 1] [1, 1] : tensor<6x2xi64> to tensor<6x1xi64>
  %b1 = tensor.collapse_shape %be1 [[0, 1]] : tensor<6x1xi64> into tensor<6xi64>
  %te1 = tensor.extract_slice %it1[0, 1] [6, 1] [1, 1] : tensor<6x2xi64> to tensor<6x1xi64>
  %t1 = tensor.collapse_shape %te1 [[0, 1]] : tensor<6x1xi64> into tensor<6xi64>
  %off1 = arith.muli %b1, %three : tensor<6xi64>
  %row1 = arith.addi %t1, %off1 : tensor<6xi64>
  %x1 = ssm.gather %flat, %row1 dim 0 : tensor<6x4xf32>, tensor<6xi64> -> tensor<6x4xf32>
  %up1 = ssm.linear %x1, %wu1 : tensor<6x4xf32>, tensor<5x4xf32> -> tensor<6x5xf32>
  %act1 = ssm.gelu %up1 : tensor<6x5xf32>
  %down1 = ssm.linear %act1, %wd1 : tensor<6x5xf32>, tensor<4x5xf32> -> tensor<6x4xf32>
  %sel1 = ssm.gather %flat_selected, %row1 dim 0 : tensor<6x2xi64>, tensor<6xi64> -> tensor<6x2xi64>
  %idr1 = arith.constant dense<0> : tensor<6x2xi64>
  %eqr1 = arith.cmpi eq, %sel1, %idr1 : tensor<6x2xi64>
  %gr1 = ssm.gather %flat_gates, %row1 dim 0 : tensor<6x2xf32>, tensor<6xi64> -> tensor<6x2xf32>
  %onr1 = arith.uitofp %eqr1 : tensor<6x2xi1> to tensor<6x2xf32>
  %gm1 = arith.mulf %gr1, %onr1 : tensor<6x2xf32>
  %g1 = linalg.reduce { arith.addf } ins(%gm1 : tensor<6x2xf32>) outs(%no_gate : tensor<6xf32>) dimensions = [1]
  %gb1 = linalg.broadcast ins(%g1 : tensor<6xf32>) outs(%ye : tensor<6x4xf32>) dimensions = [1]
  %w1 = arith.mulf %down1, %gb1 : tensor<6x4xf32>
  %pf1 = tensor.collapse_shape %y1 [[0, 1], [2]] : tensor<2x3x4xf32> into tensor<6x4xf32>
  %p1 = ssm.gather %pf1, %row1 dim 0 : tensor<6x4xf32>, tensor<6xi64> -> tensor<6x4xf32>
  %u1 = arith.addf %p1, %w1 : tensor<6x4xf32>
  %bc1 = tensor.expand_shape %b1 [[0, 1]] output_shape [6, 1] : tensor<6xi64> into tensor<6x1xi64>
  %tc1 = tensor.expand_shape %t1 [[0, 1]] output_shape [6, 1] : tensor<6xi64> into tensor<6x1xi64>
  %at1 = tensor.concat dim(1) %bc1, %tc1 : (tensor<6x1xi64>, tensor<6x1xi64>) -> tensor<6x2xi64>
  %y2 = ssm.scatter_nd %y1, %at1, %u1 valid(%n1 : tensor<i64>) replace : tensor<2x3x4xf32>, tensor<6x2xi64>, tensor<6x4xf32>
  return %y2 : tensor<2x3x4xf32>
}

// -----

// The rows are no row-major index: three tokens a batch, but stride two.
// CHECK-LABEL: func @wrong_row
// CHECK-NOT: ssm.moe
func.func @wrong_row(%x: tensor<2x3x4xf32>, %router: tensor<2x3x2xf32>) -> tensor<2x3x4xf32> {
  %wu0 = ssm.weight "up0" dense_resource<up0> : tensor<5x4xf32>
  %wd0 = ssm.weight "down0" dense_resource<down0> : tensor<4x5xf32>
  %wu1 = ssm.weight "up1" dense_resource<up1> : tensor<5x4xf32>
  %wd1 = ssm.weight "down1" dense_resource<down1> : tensor<4x5xf32>
  %no_votes = arith.constant dense<0> : tensor<2x3xi64>
  %no_gate = arith.constant dense<0.0> : tensor<6xf32>
  %three = arith.constant dense<2> : tensor<6xi64>
  %y0 = arith.constant dense<0.0> : tensor<2x3x4xf32>
  %ie = tensor.empty() : tensor<6x2xi64>
  %ye = tensor.empty() : tensor<6x4xf32>
  %top, %selected = ssm.top_k %router dim 2 : tensor<2x3x2xf32> -> tensor<2x3x2xf32>, tensor<2x3x2xi64>
  %gates = linalg.softmax dimension(2) ins(%top : tensor<2x3x2xf32>) outs(%top : tensor<2x3x2xf32>) -> tensor<2x3x2xf32>
  %flat = tensor.collapse_shape %x [[0, 1], [2]] : tensor<2x3x4xf32> into tensor<6x4xf32>
  %flat_selected = tensor.collapse_shape %selected [[0, 1], [2]] : tensor<2x3x2xi64> into tensor<6x2xi64>
  %flat_gates = tensor.collapse_shape %gates [[0, 1], [2]] : tensor<2x3x2xf32> into tensor<6x2xf32>
  %id0 = arith.constant dense<0> : tensor<2x3x2xi64>
  %eq0 = arith.cmpi eq, %selected, %id0 : tensor<2x3x2xi64>
  %one0 = arith.extui %eq0 : tensor<2x3x2xi1> to tensor<2x3x2xi64>
  %votes0 = linalg.reduce { arith.addi } ins(%one0 : tensor<2x3x2xi64>) outs(%no_votes : tensor<2x3xi64>) dimensions = [2]
  %mask0 = arith.cmpi sgt, %votes0, %no_votes : tensor<2x3xi64>
  %i0, %n0 = ssm.nonzero %mask0 : tensor<2x3xi1> -> tensor<2x6xi64>, tensor<i64>
  %it0 = linalg.transpose ins(%i0 : tensor<2x6xi64>) outs(%ie : tensor<6x2xi64>) permutation = [1, 0]
  %be0 = tensor.extract_slice %it0[0, 0] [6, 1] [1, 1] : tensor<6x2xi64> to tensor<6x1xi64>
  %b0 = tensor.collapse_shape %be0 [[0, 1]] : tensor<6x1xi64> into tensor<6xi64>
  %te0 = tensor.extract_slice %it0[0, 1] [6, 1] [1, 1] : tensor<6x2xi64> to tensor<6x1xi64>
  %t0 = tensor.collapse_shape %te0 [[0, 1]] : tensor<6x1xi64> into tensor<6xi64>
  %off0 = arith.muli %b0, %three : tensor<6xi64>
  %row0 = arith.addi %t0, %off0 : tensor<6xi64>
  %x0 = ssm.gather %flat, %row0 dim 0 : tensor<6x4xf32>, tensor<6xi64> -> tensor<6x4xf32>
  %up0 = ssm.linear %x0, %wu0 : tensor<6x4xf32>, tensor<5x4xf32> -> tensor<6x5xf32>
  %act0 = ssm.gelu %up0 : tensor<6x5xf32>
  %down0 = ssm.linear %act0, %wd0 : tensor<6x5xf32>, tensor<4x5xf32> -> tensor<6x4xf32>
  %sel0 = ssm.gather %flat_selected, %row0 dim 0 : tensor<6x2xi64>, tensor<6xi64> -> tensor<6x2xi64>
  %idr0 = arith.constant dense<0> : tensor<6x2xi64>
  %eqr0 = arith.cmpi eq, %sel0, %idr0 : tensor<6x2xi64>
  %gr0 = ssm.gather %flat_gates, %row0 dim 0 : tensor<6x2xf32>, tensor<6xi64> -> tensor<6x2xf32>
  %onr0 = arith.uitofp %eqr0 : tensor<6x2xi1> to tensor<6x2xf32>
  %gm0 = arith.mulf %gr0, %onr0 : tensor<6x2xf32>
  %g0 = linalg.reduce { arith.addf } ins(%gm0 : tensor<6x2xf32>) outs(%no_gate : tensor<6xf32>) dimensions = [1]
  %gb0 = linalg.broadcast ins(%g0 : tensor<6xf32>) outs(%ye : tensor<6x4xf32>) dimensions = [1]
  %w0 = arith.mulf %down0, %gb0 : tensor<6x4xf32>
  %pf0 = tensor.collapse_shape %y0 [[0, 1], [2]] : tensor<2x3x4xf32> into tensor<6x4xf32>
  %p0 = ssm.gather %pf0, %row0 dim 0 : tensor<6x4xf32>, tensor<6xi64> -> tensor<6x4xf32>
  %u0 = arith.addf %p0, %w0 : tensor<6x4xf32>
  %bc0 = tensor.expand_shape %b0 [[0, 1]] output_shape [6, 1] : tensor<6xi64> into tensor<6x1xi64>
  %tc0 = tensor.expand_shape %t0 [[0, 1]] output_shape [6, 1] : tensor<6xi64> into tensor<6x1xi64>
  %at0 = tensor.concat dim(1) %bc0, %tc0 : (tensor<6x1xi64>, tensor<6x1xi64>) -> tensor<6x2xi64>
  %y1 = ssm.scatter_nd %y0, %at0, %u0 valid(%n0 : tensor<i64>) replace : tensor<2x3x4xf32>, tensor<6x2xi64>, tensor<6x4xf32>
  %id1 = arith.constant dense<1> : tensor<2x3x2xi64>
  %eq1 = arith.cmpi eq, %selected, %id1 : tensor<2x3x2xi64>
  %one1 = arith.extui %eq1 : tensor<2x3x2xi1> to tensor<2x3x2xi64>
  %votes1 = linalg.reduce { arith.addi } ins(%one1 : tensor<2x3x2xi64>) outs(%no_votes : tensor<2x3xi64>) dimensions = [2]
  %mask1 = arith.cmpi sgt, %votes1, %no_votes : tensor<2x3xi64>
  %i1, %n1 = ssm.nonzero %mask1 : tensor<2x3xi1> -> tensor<2x6xi64>, tensor<i64>
  %it1 = linalg.transpose ins(%i1 : tensor<2x6xi64>) outs(%ie : tensor<6x2xi64>) permutation = [1, 0]
  %be1 = tensor.extract_slice %it1[0, 0] [6, 1] [1, 1] : tensor<6x2xi64> to tensor<6x1xi64>
  %b1 = tensor.collapse_shape %be1 [[0, 1]] : tensor<6x1xi64> into tensor<6xi64>
  %te1 = tensor.extract_slice %it1[0, 1] [6, 1] [1, 1] : tensor<6x2xi64> to tensor<6x1xi64>
  %t1 = tensor.collapse_shape %te1 [[0, 1]] : tensor<6x1xi64> into tensor<6xi64>
  %off1 = arith.muli %b1, %three : tensor<6xi64>
  %row1 = arith.addi %t1, %off1 : tensor<6xi64>
  %x1 = ssm.gather %flat, %row1 dim 0 : tensor<6x4xf32>, tensor<6xi64> -> tensor<6x4xf32>
  %up1 = ssm.linear %x1, %wu1 : tensor<6x4xf32>, tensor<5x4xf32> -> tensor<6x5xf32>
  %act1 = ssm.gelu %up1 : tensor<6x5xf32>
  %down1 = ssm.linear %act1, %wd1 : tensor<6x5xf32>, tensor<4x5xf32> -> tensor<6x4xf32>
  %sel1 = ssm.gather %flat_selected, %row1 dim 0 : tensor<6x2xi64>, tensor<6xi64> -> tensor<6x2xi64>
  %idr1 = arith.constant dense<1> : tensor<6x2xi64>
  %eqr1 = arith.cmpi eq, %sel1, %idr1 : tensor<6x2xi64>
  %gr1 = ssm.gather %flat_gates, %row1 dim 0 : tensor<6x2xf32>, tensor<6xi64> -> tensor<6x2xf32>
  %onr1 = arith.uitofp %eqr1 : tensor<6x2xi1> to tensor<6x2xf32>
  %gm1 = arith.mulf %gr1, %onr1 : tensor<6x2xf32>
  %g1 = linalg.reduce { arith.addf } ins(%gm1 : tensor<6x2xf32>) outs(%no_gate : tensor<6xf32>) dimensions = [1]
  %gb1 = linalg.broadcast ins(%g1 : tensor<6xf32>) outs(%ye : tensor<6x4xf32>) dimensions = [1]
  %w1 = arith.mulf %down1, %gb1 : tensor<6x4xf32>
  %pf1 = tensor.collapse_shape %y1 [[0, 1], [2]] : tensor<2x3x4xf32> into tensor<6x4xf32>
  %p1 = ssm.gather %pf1, %row1 dim 0 : tensor<6x4xf32>, tensor<6xi64> -> tensor<6x4xf32>
  %u1 = arith.addf %p1, %w1 : tensor<6x4xf32>
  %bc1 = tensor.expand_shape %b1 [[0, 1]] output_shape [6, 1] : tensor<6xi64> into tensor<6x1xi64>
  %tc1 = tensor.expand_shape %t1 [[0, 1]] output_shape [6, 1] : tensor<6xi64> into tensor<6x1xi64>
  %at1 = tensor.concat dim(1) %bc1, %tc1 : (tensor<6x1xi64>, tensor<6x1xi64>) -> tensor<6x2xi64>
  %y2 = ssm.scatter_nd %y1, %at1, %u1 valid(%n1 : tensor<i64>) replace : tensor<2x3x4xf32>, tensor<6x2xi64>, tensor<6x4xf32>
  return %y2 : tensor<2x3x4xf32>
}

// -----

// The experts do not start from zero.
// CHECK-LABEL: func @not_zero
// CHECK-NOT: ssm.moe
func.func @not_zero(%x: tensor<2x3x4xf32>, %router: tensor<2x3x2xf32>) -> tensor<2x3x4xf32> {
  %wu0 = ssm.weight "up0" dense_resource<up0> : tensor<5x4xf32>
  %wd0 = ssm.weight "down0" dense_resource<down0> : tensor<4x5xf32>
  %wu1 = ssm.weight "up1" dense_resource<up1> : tensor<5x4xf32>
  %wd1 = ssm.weight "down1" dense_resource<down1> : tensor<4x5xf32>
  %no_votes = arith.constant dense<0> : tensor<2x3xi64>
  %no_gate = arith.constant dense<0.0> : tensor<6xf32>
  %three = arith.constant dense<3> : tensor<6xi64>
  %y0 = arith.constant dense<1.0> : tensor<2x3x4xf32>
  %ie = tensor.empty() : tensor<6x2xi64>
  %ye = tensor.empty() : tensor<6x4xf32>
  %top, %selected = ssm.top_k %router dim 2 : tensor<2x3x2xf32> -> tensor<2x3x2xf32>, tensor<2x3x2xi64>
  %gates = linalg.softmax dimension(2) ins(%top : tensor<2x3x2xf32>) outs(%top : tensor<2x3x2xf32>) -> tensor<2x3x2xf32>
  %flat = tensor.collapse_shape %x [[0, 1], [2]] : tensor<2x3x4xf32> into tensor<6x4xf32>
  %flat_selected = tensor.collapse_shape %selected [[0, 1], [2]] : tensor<2x3x2xi64> into tensor<6x2xi64>
  %flat_gates = tensor.collapse_shape %gates [[0, 1], [2]] : tensor<2x3x2xf32> into tensor<6x2xf32>
  %id0 = arith.constant dense<0> : tensor<2x3x2xi64>
  %eq0 = arith.cmpi eq, %selected, %id0 : tensor<2x3x2xi64>
  %one0 = arith.extui %eq0 : tensor<2x3x2xi1> to tensor<2x3x2xi64>
  %votes0 = linalg.reduce { arith.addi } ins(%one0 : tensor<2x3x2xi64>) outs(%no_votes : tensor<2x3xi64>) dimensions = [2]
  %mask0 = arith.cmpi sgt, %votes0, %no_votes : tensor<2x3xi64>
  %i0, %n0 = ssm.nonzero %mask0 : tensor<2x3xi1> -> tensor<2x6xi64>, tensor<i64>
  %it0 = linalg.transpose ins(%i0 : tensor<2x6xi64>) outs(%ie : tensor<6x2xi64>) permutation = [1, 0]
  %be0 = tensor.extract_slice %it0[0, 0] [6, 1] [1, 1] : tensor<6x2xi64> to tensor<6x1xi64>
  %b0 = tensor.collapse_shape %be0 [[0, 1]] : tensor<6x1xi64> into tensor<6xi64>
  %te0 = tensor.extract_slice %it0[0, 1] [6, 1] [1, 1] : tensor<6x2xi64> to tensor<6x1xi64>
  %t0 = tensor.collapse_shape %te0 [[0, 1]] : tensor<6x1xi64> into tensor<6xi64>
  %off0 = arith.muli %b0, %three : tensor<6xi64>
  %row0 = arith.addi %t0, %off0 : tensor<6xi64>
  %x0 = ssm.gather %flat, %row0 dim 0 : tensor<6x4xf32>, tensor<6xi64> -> tensor<6x4xf32>
  %up0 = ssm.linear %x0, %wu0 : tensor<6x4xf32>, tensor<5x4xf32> -> tensor<6x5xf32>
  %act0 = ssm.gelu %up0 : tensor<6x5xf32>
  %down0 = ssm.linear %act0, %wd0 : tensor<6x5xf32>, tensor<4x5xf32> -> tensor<6x4xf32>
  %sel0 = ssm.gather %flat_selected, %row0 dim 0 : tensor<6x2xi64>, tensor<6xi64> -> tensor<6x2xi64>
  %idr0 = arith.constant dense<0> : tensor<6x2xi64>
  %eqr0 = arith.cmpi eq, %sel0, %idr0 : tensor<6x2xi64>
  %gr0 = ssm.gather %flat_gates, %row0 dim 0 : tensor<6x2xf32>, tensor<6xi64> -> tensor<6x2xf32>
  %onr0 = arith.uitofp %eqr0 : tensor<6x2xi1> to tensor<6x2xf32>
  %gm0 = arith.mulf %gr0, %onr0 : tensor<6x2xf32>
  %g0 = linalg.reduce { arith.addf } ins(%gm0 : tensor<6x2xf32>) outs(%no_gate : tensor<6xf32>) dimensions = [1]
  %gb0 = linalg.broadcast ins(%g0 : tensor<6xf32>) outs(%ye : tensor<6x4xf32>) dimensions = [1]
  %w0 = arith.mulf %down0, %gb0 : tensor<6x4xf32>
  %pf0 = tensor.collapse_shape %y0 [[0, 1], [2]] : tensor<2x3x4xf32> into tensor<6x4xf32>
  %p0 = ssm.gather %pf0, %row0 dim 0 : tensor<6x4xf32>, tensor<6xi64> -> tensor<6x4xf32>
  %u0 = arith.addf %p0, %w0 : tensor<6x4xf32>
  %bc0 = tensor.expand_shape %b0 [[0, 1]] output_shape [6, 1] : tensor<6xi64> into tensor<6x1xi64>
  %tc0 = tensor.expand_shape %t0 [[0, 1]] output_shape [6, 1] : tensor<6xi64> into tensor<6x1xi64>
  %at0 = tensor.concat dim(1) %bc0, %tc0 : (tensor<6x1xi64>, tensor<6x1xi64>) -> tensor<6x2xi64>
  %y1 = ssm.scatter_nd %y0, %at0, %u0 valid(%n0 : tensor<i64>) replace : tensor<2x3x4xf32>, tensor<6x2xi64>, tensor<6x4xf32>
  %id1 = arith.constant dense<1> : tensor<2x3x2xi64>
  %eq1 = arith.cmpi eq, %selected, %id1 : tensor<2x3x2xi64>
  %one1 = arith.extui %eq1 : tensor<2x3x2xi1> to tensor<2x3x2xi64>
  %votes1 = linalg.reduce { arith.addi } ins(%one1 : tensor<2x3x2xi64>) outs(%no_votes : tensor<2x3xi64>) dimensions = [2]
  %mask1 = arith.cmpi sgt, %votes1, %no_votes : tensor<2x3xi64>
  %i1, %n1 = ssm.nonzero %mask1 : tensor<2x3xi1> -> tensor<2x6xi64>, tensor<i64>
  %it1 = linalg.transpose ins(%i1 : tensor<2x6xi64>) outs(%ie : tensor<6x2xi64>) permutation = [1, 0]
  %be1 = tensor.extract_slice %it1[0, 0] [6, 1] [1, 1] : tensor<6x2xi64> to tensor<6x1xi64>
  %b1 = tensor.collapse_shape %be1 [[0, 1]] : tensor<6x1xi64> into tensor<6xi64>
  %te1 = tensor.extract_slice %it1[0, 1] [6, 1] [1, 1] : tensor<6x2xi64> to tensor<6x1xi64>
  %t1 = tensor.collapse_shape %te1 [[0, 1]] : tensor<6x1xi64> into tensor<6xi64>
  %off1 = arith.muli %b1, %three : tensor<6xi64>
  %row1 = arith.addi %t1, %off1 : tensor<6xi64>
  %x1 = ssm.gather %flat, %row1 dim 0 : tensor<6x4xf32>, tensor<6xi64> -> tensor<6x4xf32>
  %up1 = ssm.linear %x1, %wu1 : tensor<6x4xf32>, tensor<5x4xf32> -> tensor<6x5xf32>
  %act1 = ssm.gelu %up1 : tensor<6x5xf32>
  %down1 = ssm.linear %act1, %wd1 : tensor<6x5xf32>, tensor<4x5xf32> -> tensor<6x4xf32>
  %sel1 = ssm.gather %flat_selected, %row1 dim 0 : tensor<6x2xi64>, tensor<6xi64> -> tensor<6x2xi64>
  %idr1 = arith.constant dense<1> : tensor<6x2xi64>
  %eqr1 = arith.cmpi eq, %sel1, %idr1 : tensor<6x2xi64>
  %gr1 = ssm.gather %flat_gates, %row1 dim 0 : tensor<6x2xf32>, tensor<6xi64> -> tensor<6x2xf32>
  %onr1 = arith.uitofp %eqr1 : tensor<6x2xi1> to tensor<6x2xf32>
  %gm1 = arith.mulf %gr1, %onr1 : tensor<6x2xf32>
  %g1 = linalg.reduce { arith.addf } ins(%gm1 : tensor<6x2xf32>) outs(%no_gate : tensor<6xf32>) dimensions = [1]
  %gb1 = linalg.broadcast ins(%g1 : tensor<6xf32>) outs(%ye : tensor<6x4xf32>) dimensions = [1]
  %w1 = arith.mulf %down1, %gb1 : tensor<6x4xf32>
  %pf1 = tensor.collapse_shape %y1 [[0, 1], [2]] : tensor<2x3x4xf32> into tensor<6x4xf32>
  %p1 = ssm.gather %pf1, %row1 dim 0 : tensor<6x4xf32>, tensor<6xi64> -> tensor<6x4xf32>
  %u1 = arith.addf %p1, %w1 : tensor<6x4xf32>
  %bc1 = tensor.expand_shape %b1 [[0, 1]] output_shape [6, 1] : tensor<6xi64> into tensor<6x1xi64>
  %tc1 = tensor.expand_shape %t1 [[0, 1]] output_shape [6, 1] : tensor<6xi64> into tensor<6x1xi64>
  %at1 = tensor.concat dim(1) %bc1, %tc1 : (tensor<6x1xi64>, tensor<6x1xi64>) -> tensor<6x2xi64>
  %y2 = ssm.scatter_nd %y1, %at1, %u1 valid(%n1 : tensor<i64>) replace : tensor<2x3x4xf32>, tensor<6x2xi64>, tensor<6x4xf32>
  return %y2 : tensor<2x3x4xf32>
}

// -----

// Of one token the transpose of the indices is a reshape.
// CHECK-LABEL: func @one_token
func.func @one_token(%x: tensor<1x1x4xf32>, %router: tensor<1x1x1xf32>) -> tensor<1x1x4xf32> {
  // CHECK: ssm.moe
  %wu0 = ssm.weight "up0" dense_resource<up0> : tensor<5x4xf32>
  %wd0 = ssm.weight "down0" dense_resource<down0> : tensor<4x5xf32>
  %no_votes = arith.constant dense<0> : tensor<1x1xi64>
  %no_gate = arith.constant dense<0.0> : tensor<1xf32>
  %y0 = arith.constant dense<0.0> : tensor<1x1x4xf32>
  %ye = tensor.empty() : tensor<1x4xf32>
  %top, %selected = ssm.top_k %router dim 2 : tensor<1x1x1xf32> -> tensor<1x1x1xf32>, tensor<1x1x1xi64>
  %gates = linalg.softmax dimension(2) ins(%top : tensor<1x1x1xf32>) outs(%top : tensor<1x1x1xf32>) -> tensor<1x1x1xf32>
  %flat = tensor.collapse_shape %x [[0, 1], [2]] : tensor<1x1x4xf32> into tensor<1x4xf32>
  %flat_selected = tensor.collapse_shape %selected [[0, 1], [2]] : tensor<1x1x1xi64> into tensor<1x1xi64>
  %flat_gates = tensor.collapse_shape %gates [[0, 1], [2]] : tensor<1x1x1xf32> into tensor<1x1xf32>
  %id0 = arith.constant dense<0> : tensor<1x1x1xi64>
  %eq0 = arith.cmpi eq, %selected, %id0 : tensor<1x1x1xi64>
  %one0 = arith.extui %eq0 : tensor<1x1x1xi1> to tensor<1x1x1xi64>
  %votes0 = linalg.reduce { arith.addi } ins(%one0 : tensor<1x1x1xi64>) outs(%no_votes : tensor<1x1xi64>) dimensions = [2]
  %mask0 = arith.cmpi sgt, %votes0, %no_votes : tensor<1x1xi64>
  %i0, %n0 = ssm.nonzero %mask0 : tensor<1x1xi1> -> tensor<2x1xi64>, tensor<i64>
  %ic0 = tensor.collapse_shape %i0 [[0, 1]] : tensor<2x1xi64> into tensor<2xi64>
  %it0 = tensor.expand_shape %ic0 [[0, 1]] output_shape [1, 2] : tensor<2xi64> into tensor<1x2xi64>
  %be0 = tensor.extract_slice %it0[0, 0] [1, 1] [1, 1] : tensor<1x2xi64> to tensor<1x1xi64>
  %b0 = tensor.collapse_shape %be0 [[0, 1]] : tensor<1x1xi64> into tensor<1xi64>
  %te0 = tensor.extract_slice %it0[0, 1] [1, 1] [1, 1] : tensor<1x2xi64> to tensor<1x1xi64>
  %t0 = tensor.collapse_shape %te0 [[0, 1]] : tensor<1x1xi64> into tensor<1xi64>
  %row0 = arith.addi %t0, %b0 : tensor<1xi64>
  %x0 = ssm.gather %flat, %row0 dim 0 : tensor<1x4xf32>, tensor<1xi64> -> tensor<1x4xf32>
  %up0 = ssm.linear %x0, %wu0 : tensor<1x4xf32>, tensor<5x4xf32> -> tensor<1x5xf32>
  %act0 = ssm.gelu %up0 : tensor<1x5xf32>
  %down0 = ssm.linear %act0, %wd0 : tensor<1x5xf32>, tensor<4x5xf32> -> tensor<1x4xf32>
  %sel0 = ssm.gather %flat_selected, %row0 dim 0 : tensor<1x1xi64>, tensor<1xi64> -> tensor<1x1xi64>
  %idr0 = arith.constant dense<0> : tensor<1x1xi64>
  %eqr0 = arith.cmpi eq, %sel0, %idr0 : tensor<1x1xi64>
  %gr0 = ssm.gather %flat_gates, %row0 dim 0 : tensor<1x1xf32>, tensor<1xi64> -> tensor<1x1xf32>
  %onr0 = arith.uitofp %eqr0 : tensor<1x1xi1> to tensor<1x1xf32>
  %gm0 = arith.mulf %gr0, %onr0 : tensor<1x1xf32>
  %g0 = linalg.reduce { arith.addf } ins(%gm0 : tensor<1x1xf32>) outs(%no_gate : tensor<1xf32>) dimensions = [1]
  %gb0 = linalg.broadcast ins(%g0 : tensor<1xf32>) outs(%ye : tensor<1x4xf32>) dimensions = [1]
  %w0 = arith.mulf %down0, %gb0 : tensor<1x4xf32>
  %pf0 = tensor.collapse_shape %y0 [[0, 1], [2]] : tensor<1x1x4xf32> into tensor<1x4xf32>
  %p0 = ssm.gather %pf0, %row0 dim 0 : tensor<1x4xf32>, tensor<1xi64> -> tensor<1x4xf32>
  %u0 = arith.addf %p0, %w0 : tensor<1x4xf32>
  %y1 = ssm.scatter_nd %y0, %it0, %u0 valid(%n0 : tensor<i64>) replace : tensor<1x1x4xf32>, tensor<1x2xi64>, tensor<1x4xf32>
  return %y1 : tensor<1x1x4xf32>
}
