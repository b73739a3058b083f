// Units of weights that are floats, in a buffer.
@group(1) @binding(0) var<storage, read> weight_units: array<vec4<u32>>;

fn weight_unit(i: u32) -> vec4<u32> {
  return weight_units[i];
}
