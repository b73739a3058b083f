// Every lane reads a value from each of the first eight lanes of its subgroup: 12345678 if that works.
@group(0) @binding(0) var<storage, read_write> result: array<u32>;

@compute @workgroup_size(32)
fn main(@builtin(local_invocation_index) lane: u32) {
  let digit = (subgroupExclusiveAdd(1u) & 7u) + 1u;
  var number = 0u;
  number = number * 10u + subgroupBroadcast(digit, 0u);
  number = number * 10u + subgroupBroadcast(digit, 1u);
  number = number * 10u + subgroupBroadcast(digit, 2u);
  number = number * 10u + subgroupBroadcast(digit, 3u);
  number = number * 10u + subgroupBroadcast(digit, 4u);
  number = number * 10u + subgroupBroadcast(digit, 5u);
  number = number * 10u + subgroupBroadcast(digit, 6u);
  number = number * 10u + subgroupBroadcast(digit, 7u);
  result[lane] = number;
}
