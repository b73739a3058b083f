// Where a pair of channels goes: rotated to the queries or keys, as it is to the values. For kernels
// with the parameters and bindings of qkv.wgsl.
fn store_pair(row: u32, head: u32, channel: u32, pair: vec2<f32>) {
  let half = params.head_dim / 2u;
  let key = params.first_key + row;
  let turn = rotation[row_position[key] * half + channel];
  let rotated =
    vec2<f32>(pair.x * turn.x - pair.y * turn.y, pair.y * turn.x + pair.x * turn.y);
  if (head < params.heads) {
    let query = params.first_query + row;
    let at = (query * params.heads + head) * params.head_stride + channel;
    q[at] = rotated.x;
    q[at + half] = rotated.y;
  } else if (head < params.heads + params.kv_heads) {
    let kv_head = head - params.heads;
    let at = (key * params.kv_heads + kv_head) * params.head_stride + channel;
    k[at] = rotated.x;
    k[at + half] = rotated.y;
  } else {
    let kv_head = head - params.heads - params.kv_heads;
    let at = (key * params.kv_heads + kv_head) * params.head_stride + channel;
    v[at] = pair.x;
    v[at + half] = pair.y;
  }
}
