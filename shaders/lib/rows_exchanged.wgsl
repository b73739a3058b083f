// Eight keys or values come to all lanes by exchange: each of the first lanes reads one. For adapters
// that run lanes as one vector, on which a read costs as much for one lane as for all.
const FENCED = false;

var<private> exchanged_start: u32;

// The rows of the eight keys from `key` on; behind the last key it is repeated.
fn find_rows(lane: u32, key: u32, last: u32, base: vec3<u32>) {
  exchanged_start = row_start(min(key + row_of_lane(lane), last), base);
}

// Units i and i + 1 of them.
fn key_rows(lane: u32, i: u32) -> EightRows {
  let at = exchanged_start + i;
  return gather_rows(lane, widened(k[at]), widened(k[at + 1u]));
}

fn value_rows(lane: u32, i: u32) -> EightRows {
  let at = exchanged_start + i;
  return gather_rows(lane, widened(v[at]), widened(v[at + 1u]));
}
