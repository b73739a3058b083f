// Eight rows, one held by each of the first eight lanes of a subgroup, become known to all lanes.
struct EightRows {
  a: array<vec4<f32>, 8>,
  b: array<vec4<f32>, 8>,
}

// Which of the eight rows this lane must bring. All lanes must be active: then the number of active
// lanes before this one is its subgroup_invocation_id, which the entry point cannot declare without
// binding the plain form of the kernel to subgroups as well.
fn row_of_lane(lane: u32) -> u32 {
  return subgroupExclusiveAdd(1u) & 7u;
}

fn gather_rows(lane: u32, a: vec4<f32>, b: vec4<f32>) -> EightRows {
  return EightRows(
    array(
      subgroupBroadcast(a, 0u), subgroupBroadcast(a, 1u), subgroupBroadcast(a, 2u),
      subgroupBroadcast(a, 3u), subgroupBroadcast(a, 4u), subgroupBroadcast(a, 5u),
      subgroupBroadcast(a, 6u), subgroupBroadcast(a, 7u),
    ),
    array(
      subgroupBroadcast(b, 0u), subgroupBroadcast(b, 1u), subgroupBroadcast(b, 2u),
      subgroupBroadcast(b, 3u), subgroupBroadcast(b, 4u), subgroupBroadcast(b, 5u),
      subgroupBroadcast(b, 6u), subgroupBroadcast(b, 7u),
    ),
  );
}
