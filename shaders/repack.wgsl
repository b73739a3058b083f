// Repacks row-major elements [columns, inner] into units [inner / elements per unit, columns], so
// that lanes that read neighbouring columns read contiguous units. Bits are copied, not converted;
// a unit's
// elements beyond `inner` are zero. A row of 4-bit elements begins at a whole byte.
struct Params {
  inner: u32,
  chunk_columns: u32, // columns in `rows`
  first_column: u32, // first of these columns in `units`
  columns: u32, // width of `units`
  units: u32, // units in a column
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> rows: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read_write> units: array<u32>;

override BITS: u32 = 16u; // bits of an element: 32, 16, 8 or 4
override UNIT_WORDS: u32 = 4u;
override ALIGNED: u32 = 0u; // rows are whole quads of words

// The bits of one element; zero after the end of the row.
fn element(column: u32, k: u32) -> u32 {
  if (k >= params.inner) {
    return 0u;
  }
  // In elements: the width of a row, which is whole bytes.
  var stride = params.inner;
  if (BITS == 4u) {
    stride = (stride + 1u) & 0xfffffffeu;
  }
  let each = 32u / BITS;
  let at = column * stride + k;
  let word = at / each;
  let bits = rows[word / 4u][word & 3u] >> (BITS * (at & (each - 1u)));
  if (BITS == 32u) {
    return bits;
  }
  return bits & ((1u << (BITS & 31u)) - 1u);
}

fn word(column: u32, index: u32) -> u32 {
  let each = 32u / BITS;
  var value = 0u;
  for (var i = 0u; i < each; i++) {
    value |= element(column, index * each + i) << ((BITS * i) & 31u);
  }
  return value;
}

// Four words of a column; zeros after its last word.
fn quad(column: u32, index: u32) -> vec4<u32> {
  if (ALIGNED == 1u) {
    return rows[column * (params.inner * BITS / 128u) + index];
  }
  let first = 4u * index;
  return vec4<u32>(
    word(column, first), word(column, first + 1u), word(column, first + 2u), word(column, first + 3u),
  );
}

// One invocation copies a quad of words: one unit, or several consecutive units of a column.
@compute @workgroup_size(32)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  if (id.x >= params.chunk_columns) {
    return;
  }
  let words = quad(id.x, id.y);
  let first = id.y * (4u / UNIT_WORDS);
  let to = (first * params.columns + params.first_column + id.x) * UNIT_WORDS;
  if (UNIT_WORDS == 4u) {
    units[to] = words.x;
    units[to + 1u] = words.y;
    units[to + 2u] = words.z;
    units[to + 3u] = words.w;
  } else if (UNIT_WORDS == 2u) {
    let next = to + 2u * params.columns;
    units[to] = words.x;
    units[to + 1u] = words.y;
    if (first + 1u < params.units) {
      units[next] = words.z;
      units[next + 1u] = words.w;
    }
  } else {
    units[to] = words.x;
    if (first + 1u < params.units) {
      units[to + params.columns] = words.y;
    }
    if (first + 2u < params.units) {
      units[to + 2u * params.columns] = words.z;
    }
    if (first + 3u < params.units) {
      units[to + 3u * params.columns] = words.w;
    }
  }
}
