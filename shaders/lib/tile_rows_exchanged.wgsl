// The rows of a tile come to all lanes by exchange, as in rows_exchanged.wgsl.

const AHEAD = false; // no load takes longer than another there

// The rows that this lane brings, one of each group of eight; behind the last one it is repeated.
fn rows_of_tile(thread: u32, first: u32, last: u32) -> vec4<u32> {
  return min(first + row_of_lane(thread) + vec4<u32>(0u, 8u, 16u, 24u), vec4<u32>(last));
}

// Eight rows of a group, two vec4 of each from `offset` on.
fn eight_rows(
  thread: u32, rows: vec4<u32>, group: u32, row_units: u32, offset: u32, inside: bool,
) -> EightRows {
  let at = rows[group] * row_units + offset;
  return gather_rows(thread, x_in(at, inside), x_in(at + 1u, inside));
}

// The first number of the vec4 at `offset` of each of eight rows.
fn eight_scales(
  thread: u32, rows: vec4<u32>, group: u32, row_units: u32, offset: u32, inside: bool,
) -> array<f32, 8> {
  let own = x_in(rows[group] * row_units + offset, inside);
  let all = gather_rows(thread, own, own).a;
  return array(
    all[0].x, all[1].x, all[2].x, all[3].x, all[4].x, all[5].x, all[6].x, all[7].x,
  );
}
