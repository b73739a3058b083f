// Merges the chunks of attention.wgsl in their order: what it does itself where one workgroup makes all
// chunks in turn, to the bit.
// parts: [sequences, row tiles, heads, chunks, head_stride / 4 + 1 units, 32 rows];
// sequences: (first query, queries, first key, keys); y: [queries, y_stride].
// One workgroup: 32 rows of UNITS units of one head, one row a lane.
struct Params {
  heads: u32,
  head_dim: u32,
  head_stride: u32,
  y_stride: u32,
  row_tiles: u32, // of the sequence that has most
  chunks: u32, // likewise
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> parts: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> sequences: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

const LANES = 32u;
const UNITS = 4u;

fn store(at: u32, channel: u32, value: f32) {
  if (channel < params.head_dim) {
    y[at + channel] = value;
  }
}

@compute @workgroup_size(32)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let units = params.head_stride / 4u;
  let slices = (units + UNITS - 1u) / UNITS;
  let head = group.y / slices;
  let first = group.y % slices * UNITS;
  let sequence = sequences[group.z];
  let queries = sequence.y;
  let row = group.x * LANES + lane;
  if (row >= queries) {
    return;
  }
  let keys = sequence.w;
  let length = chunk_length(keys);
  let chunks = (keys + length - 1u) / length;
  let stride = (units + 1u) * LANES;
  let tile = (group.z * params.row_tiles + group.x) * params.heads + head;
  let start = tile * params.chunks * stride + lane;
  var maximum = 0.0;
  var total = 0.0;
  var sums: array<vec4<f32>, UNITS>;
  for (var chunk = 0u; chunk < chunks; chunk++) {
    let at = start + chunk * stride;
    let softmax = parts[at + units * LANES];
    var before = 0.0;
    var own = 1.0;
    if (chunk == 0u) {
      maximum = softmax.x;
      total = softmax.y;
    } else {
      let largest = max(maximum, softmax.x);
      before = exp(maximum - largest);
      own = exp(softmax.x - largest);
      maximum = largest;
      total = fma(total, before, softmax.y * own);
    }
    for (var i = 0u; i < UNITS; i++) {
      let value = parts[at + min(first + i, units - 1u) * LANES];
      sums[i] = fma(sums[i], vec4<f32>(before), value * own);
    }
  }
  let at = (sequence.x + row) * params.y_stride + head * params.head_dim;
  for (var i = 0u; i < UNITS; i++) {
    let channel = 4u * (first + i);
    store(at, channel, sums[i].x / total);
    store(at, channel + 1u, sums[i].y / total);
    store(at, channel + 2u, sums[i].z / total);
    store(at, channel + 3u, sums[i].w / total);
  }
}
