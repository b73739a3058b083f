// Eight keys or values come to all lanes by address: every lane reads all of them, at addresses that are
// the same in all lanes. GPUs read those once a wave, into scalar registers. Right for any wave size.
const FENCED = true; // as attend in attention.wgsl tells

struct EightRows {
  a: array<vec4<f32>, 8>,
  b: array<vec4<f32>, 8>,
}

var<private> row_starts: array<u32, 8>;

// The rows of the eight keys from `key` on; behind the last key it is repeated.
fn find_rows(lane: u32, key: u32, last: u32, base: vec3<u32>) {
  row_starts[0] = row_start(min(key, last), base);
  row_starts[1] = row_start(min(key + 1u, last), base);
  row_starts[2] = row_start(min(key + 2u, last), base);
  row_starts[3] = row_start(min(key + 3u, last), base);
  row_starts[4] = row_start(min(key + 4u, last), base);
  row_starts[5] = row_start(min(key + 5u, last), base);
  row_starts[6] = row_start(min(key + 6u, last), base);
  row_starts[7] = row_start(min(key + 7u, last), base);
}

// Units i and i + 1 of them.
fn key_rows(lane: u32, i: u32) -> EightRows {
  return EightRows(
    array(
    widened(k[row_starts[0] + i]), widened(k[row_starts[1] + i]),
    widened(k[row_starts[2] + i]), widened(k[row_starts[3] + i]),
    widened(k[row_starts[4] + i]), widened(k[row_starts[5] + i]),
    widened(k[row_starts[6] + i]), widened(k[row_starts[7] + i]),
    ),
    array(
    widened(k[row_starts[0] + i + 1u]), widened(k[row_starts[1] + i + 1u]),
    widened(k[row_starts[2] + i + 1u]), widened(k[row_starts[3] + i + 1u]),
    widened(k[row_starts[4] + i + 1u]), widened(k[row_starts[5] + i + 1u]),
    widened(k[row_starts[6] + i + 1u]), widened(k[row_starts[7] + i + 1u]),
    ),
  );
}

fn value_rows(lane: u32, i: u32) -> EightRows {
  return EightRows(
    array(
    widened(v[row_starts[0] + i]), widened(v[row_starts[1] + i]),
    widened(v[row_starts[2] + i]), widened(v[row_starts[3] + i]),
    widened(v[row_starts[4] + i]), widened(v[row_starts[5] + i]),
    widened(v[row_starts[6] + i]), widened(v[row_starts[7] + i]),
    ),
    array(
    widened(v[row_starts[0] + i + 1u]), widened(v[row_starts[1] + i + 1u]),
    widened(v[row_starts[2] + i + 1u]), widened(v[row_starts[3] + i + 1u]),
    widened(v[row_starts[4] + i + 1u]), widened(v[row_starts[5] + i + 1u]),
    widened(v[row_starts[6] + i + 1u]), widened(v[row_starts[7] + i + 1u]),
    ),
  );
}
