// RUN: itera-opt --ssm-recognize-activations %s | FileCheck %s

// A product of x and its sigmoid is a silu, in either order.
// CHECK-LABEL: func @silu
func.func @silu(%x: tensor<4x8xf32>) -> (tensor<4x8xf32>, tensor<4x8xf32>) {
  %s = ssm.sigmoid %x : tensor<4x8xf32>
  %0 = arith.mulf %x, %s : tensor<4x8xf32>
  %1 = arith.mulf %s, %x : tensor<4x8xf32>
  // CHECK: %[[A:.*]] = ssm.silu %arg0
  // CHECK-NEXT: %[[B:.*]] = ssm.silu %arg0
  // CHECK-NEXT: return %[[A]], %[[B]]
  return %0, %1 : tensor<4x8xf32>, tensor<4x8xf32>
}

// A gate is no silu: the factor is another value.
// CHECK-LABEL: func @gate
func.func @gate(%x: tensor<4x8xf32>, %y: tensor<4x8xf32>) -> tensor<4x8xf32> {
  %s = ssm.sigmoid %x : tensor<4x8xf32>
  // CHECK: arith.mulf
  %0 = arith.mulf %y, %s : tensor<4x8xf32>
  return %0 : tensor<4x8xf32>
}

// Sigmoid and silu as quotients, with all ways to negate.
// CHECK-LABEL: func @quotients
func.func @quotients(%x: tensor<8xf32>) -> (tensor<8xf32>, tensor<8xf32>, tensor<8xf32>) {
  %one = arith.constant dense<1.0> : tensor<8xf32>
  %minus = arith.constant dense<-1.0> : tensor<8xf32>
  %zero = arith.constant dense<0.0> : tensor<8xf32>
  %n0 = arith.negf %x : tensor<8xf32>
  %e0 = math.exp %n0 : tensor<8xf32>
  %d0 = arith.addf %e0, %one : tensor<8xf32>
  %0 = arith.divf %one, %d0 : tensor<8xf32>
  %n1 = arith.mulf %x, %minus : tensor<8xf32>
  %e1 = math.exp %n1 : tensor<8xf32>
  %d1 = arith.addf %one, %e1 : tensor<8xf32>
  %1 = arith.divf %x, %d1 : tensor<8xf32>
  %n2 = arith.subf %zero, %x : tensor<8xf32>
  %e2 = math.exp %n2 : tensor<8xf32>
  %d2 = arith.addf %e2, %one : tensor<8xf32>
  %s2 = arith.divf %one, %d2 : tensor<8xf32>
  %2 = arith.mulf %s2, %x : tensor<8xf32>
  // CHECK: %[[A:.*]] = ssm.sigmoid %arg0
  // CHECK-NEXT: %[[B:.*]] = ssm.silu %arg0
  // CHECK-NEXT: %[[C:.*]] = ssm.silu %arg0
  // CHECK-NEXT: return %[[A]], %[[B]], %[[C]]
  return %0, %1, %2 : tensor<8xf32>, tensor<8xf32>, tensor<8xf32>
}

// 1 / (2 + exp(-x)) is no sigmoid, and neither is 1 / (1 + exp(x)) one of x.
// CHECK-LABEL: func @no_sigmoid
func.func @no_sigmoid(%x: tensor<8xf32>) -> (tensor<8xf32>, tensor<8xf32>) {
  %one = arith.constant dense<1.0> : tensor<8xf32>
  %two = arith.constant dense<2.0> : tensor<8xf32>
  %n = arith.negf %x : tensor<8xf32>
  %e = math.exp %n : tensor<8xf32>
  %d = arith.addf %e, %two : tensor<8xf32>
  %f = math.exp %x : tensor<8xf32>
  %g = arith.addf %f, %one : tensor<8xf32>
  // CHECK-NOT: ssm.
  // CHECK: return
  %0 = arith.divf %one, %d : tensor<8xf32>
  %1 = arith.divf %one, %g : tensor<8xf32>
  return %0, %1 : tensor<8xf32>, tensor<8xf32>
}

// Softplus: log(1 + exp(x)), log1p(exp(x)) and the form that cannot overflow.
// CHECK-LABEL: func @softplus
func.func @softplus(%x: tensor<8xf32>) -> (tensor<8xf32>, tensor<8xf32>, tensor<8xf32>) {
  %one = arith.constant dense<1.0> : tensor<8xf32>
  %zero = arith.constant dense<0.0> : tensor<8xf32>
  %e = math.exp %x : tensor<8xf32>
  %s = arith.addf %e, %one : tensor<8xf32>
  %0 = math.log %s : tensor<8xf32>
  %1 = math.log1p %e : tensor<8xf32>
  %a = math.absf %x : tensor<8xf32>
  %n = arith.negf %a : tensor<8xf32>
  %f = math.exp %n : tensor<8xf32>
  %l = math.log1p %f : tensor<8xf32>
  %m = arith.maximumf %x, %zero : tensor<8xf32>
  %2 = arith.addf %m, %l : tensor<8xf32>
  // CHECK: %[[A:.*]] = ssm.softplus %arg0
  // CHECK-NEXT: %[[B:.*]] = ssm.softplus %arg0
  // CHECK-NEXT: %[[C:.*]] = ssm.softplus %arg0
  // CHECK-NEXT: return %[[A]], %[[B]], %[[C]]
  return %0, %1, %2 : tensor<8xf32>, tensor<8xf32>, tensor<8xf32>
}

// A guard at 20 changes nothing in single precision, whatever beta.
// CHECK-LABEL: func @guard
func.func @guard(%x: tensor<8xf32>) -> (tensor<8xf32>, tensor<8xf32>) {
  %limit = arith.constant dense<20.0> : tensor<8xf32>
  %beta = arith.constant dense<2.0> : tensor<8xf32>
  %c0 = arith.cmpf ogt, %x, %limit : tensor<8xf32>
  %s0 = ssm.softplus %x : tensor<8xf32>
  %0 = arith.select %c0, %x, %s0 : tensor<8xi1>, tensor<8xf32>
  %bx = arith.mulf %x, %beta : tensor<8xf32>
  %c1 = arith.cmpf olt, %limit, %bx : tensor<8xf32>
  %s1 = ssm.softplus %bx : tensor<8xf32>
  %d1 = arith.divf %s1, %beta : tensor<8xf32>
  %1 = arith.select %c1, %x, %d1 : tensor<8xi1>, tensor<8xf32>
  // CHECK: %[[A:.*]] = ssm.softplus %arg0
  // CHECK-NEXT: %[[M:.*]] = arith.mulf %arg0
  // CHECK-NEXT: %[[S:.*]] = ssm.softplus %[[M]]
  // CHECK-NEXT: %[[B:.*]] = arith.divf %[[S]]
  // CHECK-NEXT: return %[[A]], %[[B]]
  return %0, %1 : tensor<8xf32>, tensor<8xf32>
}

// A guard at 2 does change the value, and so does another value behind it.
// CHECK-LABEL: func @real_guard
func.func @real_guard(%x: tensor<8xf32>, %y: tensor<8xf32>) -> (tensor<8xf32>, tensor<8xf32>) {
  %two = arith.constant dense<2.0> : tensor<8xf32>
  %limit = arith.constant dense<20.0> : tensor<8xf32>
  %s = ssm.softplus %x : tensor<8xf32>
  %c0 = arith.cmpf ogt, %x, %two : tensor<8xf32>
  // CHECK: arith.select
  %0 = arith.select %c0, %x, %s : tensor<8xi1>, tensor<8xf32>
  %c1 = arith.cmpf ogt, %y, %limit : tensor<8xf32>
  // CHECK: arith.select
  %1 = arith.select %c1, %y, %s : tensor<8xi1>, tensor<8xf32>
  return %0, %1 : tensor<8xf32>, tensor<8xf32>
}

// Clamps of a softplus to [0, inf] never act; one to [0.001, inf] does.
// CHECK-LABEL: func @clamp
func.func @clamp(%x: tensor<8xf32>) -> (tensor<8xf32>, tensor<8xf32>) {
  %zero = arith.constant dense<0.0> : tensor<8xf32>
  %floor = arith.constant dense<0.001> : tensor<8xf32>
  %inf = arith.constant dense<0x7F800000> : tensor<8xf32>
  %s = ssm.softplus %x : tensor<8xf32>
  %0 = arith.maximumf %s, %zero : tensor<8xf32>
  %1 = arith.minimumf %0, %inf : tensor<8xf32>
  // CHECK: %[[S:.*]] = ssm.softplus
  // CHECK-NEXT: %[[M:.*]] = arith.maximumf %[[S]]
  // CHECK-NEXT: return %[[S]], %[[M]]
  %2 = arith.maximumf %1, %floor : tensor<8xf32>
  return %1, %2 : tensor<8xf32>, tensor<8xf32>
}

// Gelu with erf in three associations: half first, half last, distributed.
// CHECK-LABEL: func @gelu
func.func @gelu(%x: tensor<8xf32>) -> (tensor<8xf32>, tensor<8xf32>, tensor<8xf32>) {
  %root = arith.constant dense<1.41421354> : tensor<8xf32>
  %reciprocal = arith.constant dense<0.707106769> : tensor<8xf32>
  %one = arith.constant dense<1.0> : tensor<8xf32>
  %half = arith.constant dense<0.5> : tensor<8xf32>
  %two = arith.constant dense<2.0> : tensor<8xf32>
  %u0 = arith.divf %x, %root : tensor<8xf32>
  %e0 = math.erf %u0 : tensor<8xf32>
  %f0 = arith.addf %e0, %one : tensor<8xf32>
  %p0 = arith.mulf %x, %f0 : tensor<8xf32>
  %0 = arith.mulf %p0, %half : tensor<8xf32>
  %u1 = arith.mulf %reciprocal, %x : tensor<8xf32>
  %e1 = math.erf %u1 : tensor<8xf32>
  %f1 = arith.addf %one, %e1 : tensor<8xf32>
  %h1 = arith.divf %x, %two : tensor<8xf32>
  %1 = arith.mulf %h1, %f1 : tensor<8xf32>
  %e2 = math.erf %u1 : tensor<8xf32>
  %h2 = arith.mulf %e2, %half : tensor<8xf32>
  %f2 = arith.addf %half, %h2 : tensor<8xf32>
  %2 = arith.mulf %f2, %x : tensor<8xf32>
  // CHECK: %[[A:.*]] = ssm.gelu %arg0
  // CHECK-NEXT: %[[B:.*]] = ssm.gelu %arg0
  // CHECK-NEXT: %[[C:.*]] = ssm.gelu %arg0
  // CHECK-NEXT: return %[[A]], %[[B]], %[[C]]
  return %0, %1, %2 : tensor<8xf32>, tensor<8xf32>, tensor<8xf32>
}

// Gelu with tanh: the cube as a power and as products, 0.044715 inside.
// CHECK-LABEL: func @gelu_tanh
func.func @gelu_tanh(%x: tensor<8xf32>) -> (tensor<8xf32>, tensor<8xf32>) {
  %three = arith.constant dense<3.0> : tensor<8xf32>
  %cubic = arith.constant dense<4.471500e-02> : tensor<8xf32>
  %scale = arith.constant dense<0.797884583> : tensor<8xf32>
  %one = arith.constant dense<1.0> : tensor<8xf32>
  %half = arith.constant dense<0.5> : tensor<8xf32>
  %cube = math.powf %x, %three : tensor<8xf32>
  %c0 = arith.mulf %cubic, %cube : tensor<8xf32>
  %i0 = arith.addf %x, %c0 : tensor<8xf32>
  %u0 = arith.mulf %scale, %i0 : tensor<8xf32>
  %t0 = math.tanh %u0 : tensor<8xf32>
  %f0 = arith.addf %one, %t0 : tensor<8xf32>
  %h0 = arith.mulf %half, %x : tensor<8xf32>
  %0 = arith.mulf %h0, %f0 : tensor<8xf32>
  %xx = arith.mulf %x, %x : tensor<8xf32>
  %c1 = arith.mulf %xx, %cubic : tensor<8xf32>
  %i1 = arith.addf %c1, %one : tensor<8xf32>
  %s1 = arith.mulf %x, %scale : tensor<8xf32>
  %u1 = arith.mulf %s1, %i1 : tensor<8xf32>
  %t1 = math.tanh %u1 : tensor<8xf32>
  %f1 = arith.addf %t1, %one : tensor<8xf32>
  %p1 = arith.mulf %f1, %x : tensor<8xf32>
  %1 = arith.mulf %p1, %half : tensor<8xf32>
  // CHECK: %[[A:.*]] = ssm.gelu tanh %arg0
  // CHECK-NEXT: %[[B:.*]] = ssm.gelu tanh %arg0
  // CHECK-NEXT: return %[[A]], %[[B]]
  return %0, %1 : tensor<8xf32>, tensor<8xf32>
}

// x itself may be a product.
// CHECK-LABEL: func @gelu_of_product
func.func @gelu_of_product(%a: tensor<8xf32>, %b: tensor<8xf32>) -> tensor<8xf32> {
  %root = arith.constant dense<1.41421354> : tensor<8xf32>
  %one = arith.constant dense<1.0> : tensor<8xf32>
  %half = arith.constant dense<0.5> : tensor<8xf32>
  // CHECK: %[[X:.*]] = arith.mulf %arg0, %arg1
  %x = arith.mulf %a, %b : tensor<8xf32>
  %u = arith.divf %x, %root : tensor<8xf32>
  %e = math.erf %u : tensor<8xf32>
  %f = arith.addf %e, %one : tensor<8xf32>
  %p = arith.mulf %x, %f : tensor<8xf32>
  // CHECK-NEXT: ssm.gelu %[[X]]
  %0 = arith.mulf %p, %half : tensor<8xf32>
  return %0 : tensor<8xf32>
}

// Constants that are off by a little: 1.414, and 0.51.
// CHECK-LABEL: func @no_gelu
func.func @no_gelu(%x: tensor<8xf32>) -> (tensor<8xf32>, tensor<8xf32>) {
  %off = arith.constant dense<1.414> : tensor<8xf32>
  %root = arith.constant dense<1.41421354> : tensor<8xf32>
  %one = arith.constant dense<1.0> : tensor<8xf32>
  %half = arith.constant dense<0.5> : tensor<8xf32>
  %more = arith.constant dense<0.51> : tensor<8xf32>
  %u0 = arith.divf %x, %off : tensor<8xf32>
  %e0 = math.erf %u0 : tensor<8xf32>
  %f0 = arith.addf %e0, %one : tensor<8xf32>
  %p0 = arith.mulf %x, %f0 : tensor<8xf32>
  %0 = arith.mulf %p0, %half : tensor<8xf32>
  %u1 = arith.divf %x, %root : tensor<8xf32>
  %e1 = math.erf %u1 : tensor<8xf32>
  %f1 = arith.addf %e1, %one : tensor<8xf32>
  %p1 = arith.mulf %x, %f1 : tensor<8xf32>
  %1 = arith.mulf %p1, %more : tensor<8xf32>
  // CHECK-NOT: ssm.gelu
  // CHECK: return
  return %0, %1 : tensor<8xf32>, tensor<8xf32>
}
