// The gradient of x[row] = table[ids[row]]: d_table[token] += the sum of d_x[row] over the rows that have
// this token, in ascending order.
// lists: (token, first, rows), one after another, of tokens that differ: its rows are rows[first..] of them;
// rows: all lists' rows; d_x: [rows, 4 * units]; d_table: [tokens, 4 * units], from first_token on.
// One workgroup 32 units of a token; eight rows are asked for at once, since a masked token has many.
struct Params {
  units: u32, // a row's
  first_token: u32,
  tokens: u32, // in this part of the table
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> lists: array<u32>;
@group(0) @binding(2) var<storage, read> rows: array<u32>;
@group(0) @binding(3) var<storage, read> d_x: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> d_table: array<vec4<f32>>;

fn row_of(i: u32, unit: u32) -> vec4<f32> {
  return d_x[rows[i] * params.units + unit];
}

@compute @workgroup_size(32)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let unit = group.x * 32u + lane;
  let list = 3u * group.y;
  let id = lists[list];
  let token = id - params.first_token;
  if (unit >= params.units || id < params.first_token || token >= params.tokens) {
    return;
  }
  var i = lists[list + 1u];
  let end = i + lists[list + 2u];
  var sum = vec4<f32>(0.0);
  for (; i + 8u <= end; i += 8u) {
    let a = row_of(i, unit);
    let b = row_of(i + 1u, unit);
    let c = row_of(i + 2u, unit);
    let d = row_of(i + 3u, unit);
    let e = row_of(i + 4u, unit);
    let f = row_of(i + 5u, unit);
    let g = row_of(i + 6u, unit);
    let h = row_of(i + 7u, unit);
    sum = sum + a + b + c + d + e + f + g + h;
  }
  for (; i < end; i++) {
    sum += row_of(i, unit);
  }
  d_table[token * params.units + unit] += sum;
}
