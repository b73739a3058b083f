// Eight rows, one held by each of the first eight of 32 lanes, become known to all 32.
// The plain form of gather_rows_subgroup.wgsl: same values, through workgroup memory.
struct EightRows {
  a: array<vec4<f32>, 8>,
  b: array<vec4<f32>, 8>,
}

// 16 for each of up to eight groups of 32 lanes
var<workgroup> gathered: array<vec4<f32>, 128>;

// Which of the eight rows this lane must bring.
fn row_of_lane(lane: u32) -> u32 {
  return lane & 7u;
}

fn gather_rows(lane: u32, a: vec4<f32>, b: vec4<f32>) -> EightRows {
  let first = lane / 32u * 16u;
  workgroupBarrier();
  if (lane % 32u < 8u) {
    gathered[first + lane % 32u] = a;
    gathered[first + lane % 32u + 8u] = b;
  }
  workgroupBarrier();
  return EightRows(
    array(
      gathered[first], gathered[first + 1u], gathered[first + 2u], gathered[first + 3u],
      gathered[first + 4u], gathered[first + 5u], gathered[first + 6u], gathered[first + 7u],
    ),
    array(
      gathered[first + 8u], gathered[first + 9u], gathered[first + 10u], gathered[first + 11u],
      gathered[first + 12u], gathered[first + 13u], gathered[first + 14u], gathered[first + 15u],
    ),
  );
}
