// Splits the fused projection of queries, keys and values into heads, and rotates queries and keys:
// (a, b) -> (a cos - b sin, b cos + a sin) for channels i and i + head_dim / 2 at the row's position.
// qkv: [rows, qkv_stride] = heads | kv_heads | kv_heads, each head_dim wide;
// rotation: [positions, head_dim / 2] of (cos, sin);
// q: [all rows, heads, head_stride]; k, v: [all rows, kv_heads, head_stride].
struct Params {
  first_row: u32, // of q, k and v
  heads: u32,
  kv_heads: u32,
  head_dim: u32,
  head_stride: u32,
  qkv_stride: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> qkv: array<f32>;
@group(0) @binding(2) var<storage, read> row_position: array<u32>;
@group(0) @binding(3) var<storage, read> rotation: array<vec2<f32>>;
@group(0) @binding(4) var<storage, read_write> q: array<f32>;
@group(0) @binding(5) var<storage, read_write> k: array<f32>;
@group(0) @binding(6) var<storage, read_write> v: array<f32>;

@compute @workgroup_size(32)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let half = params.head_dim / 2u;
  let head = id.x / half;
  let channel = id.x % half;
  if (head >= params.heads + 2u * params.kv_heads) {
    return;
  }
  let row = params.first_row + id.y;
  let from_start = id.y * params.qkv_stride + head * params.head_dim + channel;
  let a = qkv[from_start];
  let b = qkv[from_start + half];
  let turn = rotation[row_position[row] * half + channel];
  let rotated = vec2<f32>(a * turn.x - b * turn.y, b * turn.x + a * turn.y);
  if (head < params.heads) {
    let at = (row * params.heads + head) * params.head_stride + channel;
    q[at] = rotated.x;
    q[at + half] = rotated.y;
  } else if (head < params.heads + params.kv_heads) {
    let at = (row * params.kv_heads + head - params.heads) * params.head_stride + channel;
    k[at] = rotated.x;
    k[at + half] = rotated.y;
  } else {
    let at =
      (row * params.kv_heads + head - params.heads - params.kv_heads) * params.head_stride + channel;
    v[at] = a;
    v[at + half] = b;
  }
}
