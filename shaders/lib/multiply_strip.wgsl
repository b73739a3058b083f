// A workgroup multiplies 8 * ROW_GROUPS rows by 8 * LANES columns, eight of them a lane, four and four: for
// software adapters, on which a lane's numbers cost one by one to read and to store. Four columns that are
// neighbours are stored at once, and eight rows' products use each weight eight times. The rows come by
// exchange.
// Every sum runs over k in ascending order, as in multiply_tile.wgsl: the bits are the same.
override LANES: u32 = 16u;
override ROW_GROUPS: u32 = 1u; // of eight rows: one or two

// [8 * ROW_GROUPS]: a lane's sums, by row; components are its columns
var<private> near: array<vec4<f32>, 16>; // of its first four columns
var<private> far: array<vec4<f32>, 16>; // of the others

// Of four columns, as they lie in memory.
struct Units4 {
  a: Unit8,
  b: Unit8,
  c: Unit8,
  d: Unit8,
}

fn columns_from(block: u32, column: u32, width: u32) -> Columns4 {
  let units = Units4(
    load_unit8(block, column, width), load_unit8(block, column + 1u, width),
    load_unit8(block, column + 2u, width), load_unit8(block, column + 3u, width),
  );
  return columns_of(units, block);
}

fn add_products(row: u32, x_low: vec4<f32>, x_high: vec4<f32>, w: Columns4, z: Columns4) {
  near[row] = accumulate(near[row], x_low, x_high, w);
  far[row] = accumulate(far[row], x_low, x_high, z);
}

// `first`: of the workgroup's rows, behind the last of which it is repeated; `columns`: the first of each
// four; `width`: of the packed matrix. The kernel defines x_at(i), the i-th vec4 of x [rows, 8 * blocks].
fn multiply_strip(
  lane: u32, first: u32, rows: u32, columns: vec2<u32>, width: u32, blocks: u32,
) {
  let place = first + row_of_lane(lane);
  let start = 2u * blocks * first;
  let own = 2u * blocks * min(place, rows - 1u) - start;
  let other = 2u * blocks * min(place + 8u, rows - 1u) - start;
  // Not from 0 to a parameter: drivers unroll that anew for each value. All lanes' begin at the same place,
  // since they exchange.
  for (var at = start; at < start + 2u * blocks; at += 2u) {
    let block = (at - start) / 2u;
    let own_low = x_at(at + own);
    let own_high = x_at(at + own + 1u);
    var other_low: vec4<f32>;
    var other_high: vec4<f32>;
    if (ROW_GROUPS == 2u) {
      other_low = x_at(at + other);
      other_high = x_at(at + other + 1u);
    }
    let w = columns_from(block, columns.x, width);
    let z = columns_from(block, columns.y, width);
    let x = gather_rows(lane, own_low, own_high);
    add_products(0u, x.a[0], x.b[0], w, z);
    add_products(1u, x.a[1], x.b[1], w, z);
    add_products(2u, x.a[2], x.b[2], w, z);
    add_products(3u, x.a[3], x.b[3], w, z);
    add_products(4u, x.a[4], x.b[4], w, z);
    add_products(5u, x.a[5], x.b[5], w, z);
    add_products(6u, x.a[6], x.b[6], w, z);
    add_products(7u, x.a[7], x.b[7], w, z);
    if (ROW_GROUPS == 2u) {
      let z_rows = gather_rows(lane, other_low, other_high);
      add_products(8u, z_rows.a[0], z_rows.b[0], w, z);
      add_products(9u, z_rows.a[1], z_rows.b[1], w, z);
      add_products(10u, z_rows.a[2], z_rows.b[2], w, z);
      add_products(11u, z_rows.a[3], z_rows.b[3], w, z);
      add_products(12u, z_rows.a[4], z_rows.b[4], w, z);
      add_products(13u, z_rows.a[5], z_rows.b[5], w, z);
      add_products(14u, z_rows.a[6], z_rows.b[6], w, z);
      add_products(15u, z_rows.a[7], z_rows.b[7], w, z);
    }
  }
}
