// Eight queries, or their d_y, come to all lanes by address, as keys do in rows_uniform.wgsl.
const FENCED = true; // as attend in attention.wgsl tells

struct EightRows {
  a: array<vec4<f32>, 8>,
  b: array<vec4<f32>, 8>,
}

var<private> row_starts: array<u32, 8>;

// The rows of the eight queries from `first` on; behind the last query it is repeated.
fn find_queries(lane: u32, first: u32, last: u32) {
  row_starts[0] = head_of(first, 0u, last) * UNITS;
  row_starts[1] = head_of(first, 1u, last) * UNITS;
  row_starts[2] = head_of(first, 2u, last) * UNITS;
  row_starts[3] = head_of(first, 3u, last) * UNITS;
  row_starts[4] = head_of(first, 4u, last) * UNITS;
  row_starts[5] = head_of(first, 5u, last) * UNITS;
  row_starts[6] = head_of(first, 6u, last) * UNITS;
  row_starts[7] = head_of(first, 7u, last) * UNITS;
}

fn query_facts(lane: u32, first: u32, last: u32) -> Facts {
  let a = facts[head_of(first, 0u, last)];
  let b = facts[head_of(first, 1u, last)];
  let c = facts[head_of(first, 2u, last)];
  let d = facts[head_of(first, 3u, last)];
  let e = facts[head_of(first, 4u, last)];
  let f = facts[head_of(first, 5u, last)];
  let g = facts[head_of(first, 6u, last)];
  let h = facts[head_of(first, 7u, last)];
  return Facts(
    vec4<f32>(a.x, b.x, c.x, d.x), vec4<f32>(e.x, f.x, g.x, h.x),
    vec4<f32>(a.y, b.y, c.y, d.y), vec4<f32>(e.y, f.y, g.y, h.y),
  );
}

// Units i and i + 1 of them.
fn query_rows(lane: u32, i: u32) -> EightRows {
  return EightRows(
    array(
      q[row_starts[0] + i], q[row_starts[1] + i], q[row_starts[2] + i], q[row_starts[3] + i],
      q[row_starts[4] + i], q[row_starts[5] + i], q[row_starts[6] + i], q[row_starts[7] + i],
    ),
    array(
      q[row_starts[0] + i + 1u], q[row_starts[1] + i + 1u],
      q[row_starts[2] + i + 1u], q[row_starts[3] + i + 1u],
      q[row_starts[4] + i + 1u], q[row_starts[5] + i + 1u],
      q[row_starts[6] + i + 1u], q[row_starts[7] + i + 1u],
    ),
  );
}

fn gradient_rows(lane: u32, i: u32) -> EightRows {
  return EightRows(
    array(
      d_y[row_starts[0] + i], d_y[row_starts[1] + i], d_y[row_starts[2] + i], d_y[row_starts[3] + i],
      d_y[row_starts[4] + i], d_y[row_starts[5] + i], d_y[row_starts[6] + i], d_y[row_starts[7] + i],
    ),
    array(
      d_y[row_starts[0] + i + 1u], d_y[row_starts[1] + i + 1u],
      d_y[row_starts[2] + i + 1u], d_y[row_starts[3] + i + 1u],
      d_y[row_starts[4] + i + 1u], d_y[row_starts[5] + i + 1u],
      d_y[row_starts[6] + i + 1u], d_y[row_starts[7] + i + 1u],
    ),
  );
}
