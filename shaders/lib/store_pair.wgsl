// Where a pair of channels goes: rotated to the queries or keys, as it is to the values. For kernels
// with the parameters and bindings of qkv.wgsl; lib/element_*.wgsl says what a key or value is kept as.
// LISTED: keys and values go to rows that row_position lists behind the positions, as one buffer more
// than it would be too many for a quantised layer.
override LISTED: u32 = 0u;

fn kept_row(row: u32) -> u32 {
  if (LISTED == 1u) {
    return row_position[params.key_rows + row];
  }
  return params.first_key + row;
}

fn store_pair(row: u32, head: u32, channel: u32, pair: vec2<f32>) {
  let half = params.head_dim / 2u;
  let key = params.first_key + row;
  let turn = rotation[row_position[key] * half + channel];
  let rotated =
    vec2<f32>(pair.x * turn.x - pair.y * turn.y, pair.y * turn.x + pair.x * turn.y);
  let kept = kept_row(row);
  if (head < params.heads) {
    let query = params.first_query + row;
    let at = (query * params.heads + head) * params.head_stride + channel;
    q[at] = rotated.x;
    q[at + half] = rotated.y;
  } else if (head < params.heads + params.kv_heads) {
    let kv_head = head - params.heads;
    let at = (kept * params.kv_heads + kv_head) * params.head_stride + channel;
    k[at] = narrowed(rotated.x);
    k[at + half] = narrowed(rotated.y);
  } else {
    let kv_head = head - params.heads - params.kv_heads;
    let at = (kept * params.kv_heads + kv_head) * params.head_stride + channel;
    v[at] = narrowed(pair.x);
    v[at + half] = narrowed(pair.y);
  }
}
