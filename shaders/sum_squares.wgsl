// Sums of squares of a tensor, 16384 elements a workgroup: sums[first_sum + workgroup].
// x: [elements], with zeros behind them up to a whole group of four. Which elements a sum holds does not
// depend on the device; in which order its lanes add them up depends on LANES.
struct Params {
  elements: u32,
  first_sum: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> sums: array<f32>;

override LANES: u32 = 32u;

// Groups of four elements of a workgroup, and those that a lane asks memory for at the same time.
const QUADS = 4096u;
const HELD = 4u;

var<workgroup> partial: array<f32, LANES>;

// 0 from the end on.
fn quad_of(place: u32, end: u32) -> vec4<f32> {
  return select(vec4<f32>(0.0), x[min(place, end - 1u)], place < end);
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let quads = (params.elements + 3u) / 4u;
  let start = group.x * QUADS;
  let end = min(start + QUADS, quads);
  var squares = vec4<f32>(0.0);
  // Written out, since in a loop over four each is waited for before the next is asked for.
  for (var first = start + lane; first < end; first += HELD * LANES) {
    let a = quad_of(first, end);
    let b = quad_of(first + LANES, end);
    let c = quad_of(first + 2u * LANES, end);
    let d = quad_of(first + 3u * LANES, end);
    squares = fma(d, d, fma(c, c, fma(b, b, fma(a, a, squares))));
  }
  partial[lane] = (squares.x + squares.y) + (squares.z + squares.w);
  workgroupBarrier();
  if (lane == 0u) {
    var sum = 0.0;
    for (var i = 0u; i < LANES; i++) {
      sum += partial[i];
    }
    sums[params.first_sum + group.x] = sum;
  }
}
