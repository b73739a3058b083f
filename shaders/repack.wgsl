// Row-major elements [columns, inner] become units [inner / elements per unit, columns], so that lane
// n reads column n and its neighbours are contiguous. Bits are copied, not converted; a unit's
// elements beyond `inner` are zero. A row of 4-bit elements begins at a whole byte.
struct Params {
  inner: u32,
  chunk_columns: u32, // columns in `rows`
  first_column: u32, // where they start in `units`
  columns: u32, // width of `units`
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> rows: array<u32>;
@group(0) @binding(2) var<storage, read_write> units: array<u32>;

override BITS: u32 = 16u; // of an element: 32, 16, 8 or 4
override UNIT_WORDS: u32 = 4u;
override ALIGNED: u32 = 0u; // rows are whole words

fn element(column: u32, k: u32) -> u32 {
  if (k >= params.inner) {
    return 0u;
  }
  if (BITS == 32u) {
    return rows[column * params.inner + k];
  }
  // In elements: the width of a row, which is whole bytes.
  var stride = params.inner;
  if (BITS == 4u) {
    stride = (stride + 1u) & 0xfffffffeu;
  }
  let each = 32u / BITS;
  let at = column * stride + k;
  return (rows[at / each] >> (BITS * (at & (each - 1u)))) & ((1u << (BITS & 31u)) - 1u);
}

fn word(column: u32, index: u32) -> u32 {
  let each = 32u / BITS;
  if (ALIGNED == 1u) {
    let stride = params.inner / each;
    if (index >= stride) {
      return 0u;
    }
    return rows[column * stride + index];
  }
  var value = 0u;
  for (var i = 0u; i < each; i++) {
    value |= element(column, index * each + i) << ((BITS * i) & 31u);
  }
  return value;
}

@compute @workgroup_size(32)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  if (id.x >= params.chunk_columns) {
    return;
  }
  let to = (id.y * params.columns + params.first_column + id.x) * UNIT_WORDS;
  for (var i = 0u; i < UNIT_WORDS; i++) {
    units[to + i] = word(id.x, id.y * UNIT_WORDS + i);
  }
}
