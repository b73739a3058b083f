// Queries, keys and values of a layer: qkv.wgsl on a software adapter, with its shapes and formulas. One
// workgroup makes eight rows of 4 * LANES pairs; see lib/multiply_strip.wgsl. A lane's four pairs are
// neighbours in one head: half a head is whole vec4, and so are the pairs of a part.
struct Params {
  rows: u32,
  columns: u32, // pairs of this part
  blocks: u32, // inner size / 8
  first_pair: u32,
  first_query: u32, // row of q that the first row of x becomes
  first_key: u32, // row of k, v and row_position, likewise
  heads: u32,
  kv_heads: u32,
  head_dim: u32,
  head_stride: u32,
  key_rows: u32, // LISTED: where row_position lists, for each row of x, its row of k and v
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> row_position: array<u32>;
@group(0) @binding(3) var<storage, read> rotation: array<vec4<f32>>; // two pairs of (cos, sin)
@group(0) @binding(4) var<storage, read_write> q: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> k: array<Element4>;
@group(0) @binding(6) var<storage, read_write> v: array<Element4>;

override LISTED: u32 = 0u;

fn x_at(i: u32) -> vec4<f32> {
  return x[i];
}

// Where a lane's four pairs go, found once: a division is dear. Places count vec4.
struct Place {
  inside: bool,
  head: u32,
  channel: u32,
  half: u32,
}

fn store_row(first: u32, place: u32, to: Place) {
  let row = first + place;
  // Behind the last row nothing is stored, and what is read is there.
  let there = min(row, params.rows - 1u);
  let key = params.first_key + there;
  let turn_at = (row_position[key] * to.half + to.channel) * 2u;
  let p = rotation[turn_at];
  let r = rotation[turn_at + 1u];
  let cosine = vec4<f32>(p.x, p.z, r.x, r.z);
  let sine = vec4<f32>(p.y, p.w, r.y, r.w);
  let a = near[place];
  let b = far[place];
  let turned_a = a * cosine - b * sine;
  let turned_b = b * cosine + a * sine;
  var kept = key;
  if (LISTED == 1u) {
    kept = row_position[params.key_rows + there];
  }
  let stored = to.inside && row < params.rows;
  let stride = params.head_stride / 4u;
  let end_of_keys = params.heads + params.kv_heads;
  if (stored && to.head < params.heads) {
    let at = ((params.first_query + row) * params.heads + to.head) * stride + to.channel;
    q[at] = turned_a;
    q[at + to.half] = turned_b;
  }
  if (stored && to.head >= params.heads && to.head < end_of_keys) {
    let at = (kept * params.kv_heads + to.head - params.heads) * stride + to.channel;
    k[at] = narrowed4(turned_a);
    k[at + to.half] = narrowed4(turned_b);
  }
  if (stored && to.head >= end_of_keys) {
    let at = (kept * params.kv_heads + to.head - end_of_keys) * stride + to.channel;
    v[at] = narrowed4(a);
    v[at + to.half] = narrowed4(b);
  }
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let first = group.x * 8u;
  let column = (group.y * LANES + lane) * 4u;
  let pair = min(column, params.columns - 4u);
  multiply_strip(
    lane, first, params.rows, vec2<u32>(pair, pair + params.columns), 2u * params.columns, params.blocks,
  );
  let unit = (params.first_pair + pair) / 4u;
  let half = params.head_dim / 8u;
  let to = Place(column < params.columns, unit / half, unit % half, half);
  store_row(first, 0u, to);
  store_row(first, 1u, to);
  store_row(first, 2u, to);
  store_row(first, 3u, to);
  store_row(first, 4u, to);
  store_row(first, 5u, to);
  store_row(first, 6u, to);
  store_row(first, 7u, to);
}
