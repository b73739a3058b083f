// y[i] = x[i], to measure how many bytes per second the device's memory reads and writes. A
// workgroup copies 4 * 256 vectors, with four loads in flight in each lane.
// x, y: [units] of 16 bytes.
struct Params {
  units: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4<u32>>;

const LANES = 256u;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let first = 4u * LANES * group.x + lane;
  if (first + 3u * LANES < params.units) {
    let a = x[first];
    let b = x[first + LANES];
    let c = x[first + 2u * LANES];
    let d = x[first + 3u * LANES];
    y[first] = a;
    y[first + LANES] = b;
    y[first + 2u * LANES] = c;
    y[first + 3u * LANES] = d;
    return;
  }
  for (var i = first; i < params.units; i += LANES) {
    y[i] = x[i];
  }
}
