// Eight rows, one held by each of the first eight lanes of the workgroup, become known to all lanes.
// The plain form of gather_rows_subgroup.wgsl: same values, through workgroup memory.
struct EightRows {
  a: array<vec4<f32>, 8>,
  b: array<vec4<f32>, 8>,
}

var<workgroup> gathered: array<vec4<f32>, 16>;

// Which of the eight rows this lane must bring.
fn row_of_lane(lane: u32) -> u32 {
  return lane & 7u;
}

fn gather_rows(lane: u32, a: vec4<f32>, b: vec4<f32>) -> EightRows {
  workgroupBarrier();
  if (lane < 8u) {
    gathered[lane] = a;
    gathered[lane + 8u] = b;
  }
  workgroupBarrier();
  return EightRows(
    array(
      gathered[0], gathered[1], gathered[2], gathered[3],
      gathered[4], gathered[5], gathered[6], gathered[7],
    ),
    array(
      gathered[8], gathered[9], gathered[10], gathered[11],
      gathered[12], gathered[13], gathered[14], gathered[15],
    ),
  );
}
