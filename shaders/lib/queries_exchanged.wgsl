// Eight queries, or their d_y, come to all lanes by exchange, as keys do in rows_exchanged.wgsl.
const FENCED = false;

var<private> exchanged_head: u32;
var<private> exchanged_start: u32;

// The rows of the eight queries from `first` on; behind the last query it is repeated.
fn find_queries(lane: u32, first: u32, last: u32) {
  exchanged_head = head_of(first, row_of_lane(lane), last);
  exchanged_start = exchanged_head * UNITS;
}

fn query_facts(lane: u32, first: u32, last: u32) -> Facts {
  let own = facts[exchanged_head];
  let all = gather_rows(lane, vec4<f32>(own, 0.0, 0.0), vec4<f32>(0.0)).a;
  return Facts(
    vec4<f32>(all[0].x, all[1].x, all[2].x, all[3].x),
    vec4<f32>(all[4].x, all[5].x, all[6].x, all[7].x),
    vec4<f32>(all[0].y, all[1].y, all[2].y, all[3].y),
    vec4<f32>(all[4].y, all[5].y, all[6].y, all[7].y),
  );
}

// Units i and i + 1 of them.
fn query_rows(lane: u32, i: u32) -> EightRows {
  let at = exchanged_start + i;
  return gather_rows(lane, q[at], q[at + 1u]);
}

fn gradient_rows(lane: u32, i: u32) -> EightRows {
  let at = exchanged_start + i;
  return gather_rows(lane, d_y[at], d_y[at + 1u]);
}
