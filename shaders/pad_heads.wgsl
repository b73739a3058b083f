// Heads of head_dim channels side by side are moved head_stride apart, with zeros between them.
// x: [rows, x_stride]; y: [rows, heads, head_stride]. One lane a channel of y.
struct Params {
  head_dim: u32,
  head_stride: u32,
  x_stride: u32,
  columns: u32, // heads * head_stride
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let column = group.x * 64u + lane;
  if (column >= params.columns) {
    return;
  }
  let channel = column % params.head_stride;
  let source = column / params.head_stride * params.head_dim + min(channel, params.head_dim - 1u);
  let value = x[group.y * params.x_stride + source];
  y[group.y * params.columns + column] = select(0.0, value, channel < params.head_dim);
}
