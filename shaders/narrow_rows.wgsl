// y = x in f16, as products in f16 read rows where all lanes share them. The conversion is the one that
// every lane would make: beyond 65504 an x becomes infinite there as here.
// x, y: [rows, 8 * blocks]. One invocation makes eight numbers of a row.
struct Params {
  blocks: u32, // inner size / 8
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f16>>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  if (id.x >= params.blocks) {
    return;
  }
  let at = 2u * (id.y * params.blocks + id.x);
  y[at] = vec4<f16>(x[at]);
  y[at + 1u] = vec4<f16>(x[at + 1u]);
}
