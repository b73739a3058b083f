// Splits the fused projection of queries, keys and values into heads, and rotates queries and keys:
// (a, b) -> (a cos - b sin, b cos + a sin) for channels i and i + head_dim / 2 at the row's position.
// qkv: [rows, qkv_stride] = heads | kv_heads | kv_heads, each head_dim wide;
// rotation: [positions, head_dim / 2] of (cos, sin);
// q: [queries, heads, head_stride]; k, v: [keys, kv_heads, head_stride].
struct Params {
  first_query: u32, // row of q that the first row of qkv becomes
  first_key: u32, // row of k, v and row_position, likewise
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

override LANES: u32 = 32u;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let half = params.head_dim / 2u;
  let query = params.first_query + group.y;
  let key = params.first_key + group.y;
  let qkv_start = group.y * params.qkv_stride;
  let rotation_start = row_position[key] * half;
  for (var channel = lane; channel < half; channel += LANES) {
    let turn = rotation[rotation_start + channel];
    for (var head = 0u; head < params.heads + 2u * params.kv_heads; head++) {
      let at = qkv_start + head * params.head_dim + channel;
      let a = qkv[at];
      let b = qkv[at + half];
      let rotated = vec2<f32>(a * turn.x - b * turn.y, b * turn.x + a * turn.y);
      if (head < params.heads) {
        let to = (query * params.heads + head) * params.head_stride + channel;
        q[to] = rotated.x;
        q[to + half] = rotated.y;
      } else if (head < params.heads + params.kv_heads) {
        let kv_head = head - params.heads;
        let to = (key * params.kv_heads + kv_head) * params.head_stride + channel;
        k[to] = rotated.x;
        k[to + half] = rotated.y;
      } else {
        let kv_head = head - params.heads - params.kv_heads;
        let to = (key * params.kv_heads + kv_head) * params.head_stride + channel;
        v[to] = a;
        v[to + half] = b;
      }
    }
  }
}
