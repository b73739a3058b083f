// Eight queries, or their d_y, come to all lanes by address, as keys do in rows_uniform.wgsl.
const FENCED = true; // as attend in attention.wgsl tells

struct EightRows {
  a: array<vec4<f32>, 8>,
  b: array<vec4<f32>, 8>,
}

var<private> row_starts: array<u32, 8>;

// The rows of the eight queries from `query` on; behind the last query it is repeated.
fn find_queries(lane: u32, query: u32, last: u32, base: vec2<u32>) {
  row_starts[0] = row_start(min(query, last), base);
  row_starts[1] = row_start(min(query + 1u, last), base);
  row_starts[2] = row_start(min(query + 2u, last), base);
  row_starts[3] = row_start(min(query + 3u, last), base);
  row_starts[4] = row_start(min(query + 4u, last), base);
  row_starts[5] = row_start(min(query + 5u, last), base);
  row_starts[6] = row_start(min(query + 6u, last), base);
  row_starts[7] = row_start(min(query + 7u, last), base);
}

fn fact(query: u32, last: u32, first: u32) -> vec2<f32> {
  return facts[first + min(query, last) * params.heads];
}

fn query_facts(lane: u32, query: u32, last: u32, first: u32) -> Facts {
  let a = fact(query, last, first);
  let b = fact(query + 1u, last, first);
  let c = fact(query + 2u, last, first);
  let d = fact(query + 3u, last, first);
  let e = fact(query + 4u, last, first);
  let f = fact(query + 5u, last, first);
  let g = fact(query + 6u, last, first);
  let h = fact(query + 7u, last, first);
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
