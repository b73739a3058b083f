// x[row] = embedding of ids[first_row + row], for the tokens in this part of the embedding matrix.
// LISTED: of ids[row_index[first_row + row]].
// ids or row_index: [first_row + rows]; x: [rows, 8 * blocks].
struct Params {
  rows: u32,
  blocks: u32, // hidden size / 8
  first_token: u32,
  columns: u32, // tokens in this part
  first_row: u32, // first row in ids, or in row_index
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> ids: array<u32>;
@group(0) @binding(2) var<storage, read> row_index: array<u32>; // unread without LISTED
@group(0) @binding(3) var<storage, read_write> x: array<vec4<f32>>;

override LISTED: u32 = 0u;

@compute @workgroup_size(32)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let block = id.x;
  let row = id.y;
  var at_id = params.first_row + row;
  if (LISTED == 1u) {
    at_id = row_index[at_id];
  }
  let token_id = ids[at_id];
  let token = token_id - params.first_token;
  if (block >= params.blocks || token_id < params.first_token || token >= params.columns) {
    return;
  }
  let w = load_weight8(block, token, params.columns);
  let at = (row * params.blocks + block) * 2u;
  x[at] = w.low;
  x[at + 1u] = w.high;
}
