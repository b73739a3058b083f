// Row-major weights [columns, inner] become units of 16 bytes [inner / ELEMENTS, columns], so that
// lane n reads column n and its neighbours are contiguous. Bits are copied, not converted; a unit's
// elements beyond `inner` are zero.
struct Params {
  inner: u32,
  chunk_columns: u32, // columns in `rows`
  first_column: u32, // where they start in `units`
  columns: u32, // width of `units`
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> rows: array<u32>;
@group(0) @binding(2) var<storage, read_write> units: array<vec4<u32>>;

override ELEMENTS: u32 = 8u; // 8 of 16 bits or 4 of 32 bits

fn element(column: u32, k: u32) -> u32 {
  if (k >= params.inner) {
    return 0u;
  }
  let at = column * params.inner + k;
  if (ELEMENTS == 8u) {
    return (rows[at / 2u] >> (16u * (at & 1u))) & 0xffffu;
  }
  return rows[at];
}

fn word(column: u32, k: u32) -> u32 {
  if (ELEMENTS == 8u) {
    return element(column, 2u * k) | (element(column, 2u * k + 1u) << 16u);
  }
  return element(column, k);
}

@compute @workgroup_size(32)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  if (id.x >= params.chunk_columns) {
    return;
  }
  let k = 4u * id.y;
  units[id.y * params.columns + params.first_column + id.x] =
    vec4<u32>(word(id.x, k), word(id.x, k + 1u), word(id.x, k + 2u), word(id.x, k + 3u));
}
