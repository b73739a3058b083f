// The rows of a tile come to all lanes by address, as in rows_uniform.wgsl.
const AHEAD = true; // weights are asked for a turn before they are needed

struct EightRows {
  a: array<RowUnit, 8>,
  b: array<RowUnit, 8>,
}

// The first and the last of the tile's rows; behind the last one it is repeated.
fn rows_of_tile(thread: u32, first: u32, last: u32) -> vec4<u32> {
  return vec4<u32>(first, last, 0u, 0u);
}

fn row_at(rows: vec4<u32>, row: u32, row_units: u32, offset: u32) -> u32 {
  return min(rows.x + row, rows.y) * row_units + offset;
}

// Eight rows of a group, two vec4 of each from `offset` on.
fn eight_rows(
  thread: u32, rows: vec4<u32>, group: u32, row_units: u32, offset: u32, inside: bool,
) -> EightRows {
  let first = 8u * group;
  let at0 = row_at(rows, first, row_units, offset);
  let at1 = row_at(rows, first + 1u, row_units, offset);
  let at2 = row_at(rows, first + 2u, row_units, offset);
  let at3 = row_at(rows, first + 3u, row_units, offset);
  let at4 = row_at(rows, first + 4u, row_units, offset);
  let at5 = row_at(rows, first + 5u, row_units, offset);
  let at6 = row_at(rows, first + 6u, row_units, offset);
  let at7 = row_at(rows, first + 7u, row_units, offset);
  return EightRows(
    array(
      x_in(at0, inside), x_in(at1, inside),
      x_in(at2, inside), x_in(at3, inside),
      x_in(at4, inside), x_in(at5, inside),
      x_in(at6, inside), x_in(at7, inside),
    ),
    array(
      x_in(at0 + 1u, inside), x_in(at1 + 1u, inside),
      x_in(at2 + 1u, inside), x_in(at3 + 1u, inside),
      x_in(at4 + 1u, inside), x_in(at5 + 1u, inside),
      x_in(at6 + 1u, inside), x_in(at7 + 1u, inside),
    ),
  );
}

// The first number of the vec4 at `offset` of each of eight rows.
fn eight_scales(
  thread: u32, rows: vec4<u32>, group: u32, row_units: u32, offset: u32, inside: bool,
) -> array<f32, 8> {
  let first = 8u * group;
  return array(
    f32(x_in(row_at(rows, first, row_units, offset), inside).x),
    f32(x_in(row_at(rows, first + 1u, row_units, offset), inside).x),
    f32(x_in(row_at(rows, first + 2u, row_units, offset), inside).x),
    f32(x_in(row_at(rows, first + 3u, row_units, offset), inside).x),
    f32(x_in(row_at(rows, first + 4u, row_units, offset), inside).x),
    f32(x_in(row_at(rows, first + 5u, row_units, offset), inside).x),
    f32(x_in(row_at(rows, first + 6u, row_units, offset), inside).x),
    f32(x_in(row_at(rows, first + 7u, row_units, offset), inside).x),
  );
}
