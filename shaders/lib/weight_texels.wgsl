// Units of weights that are floats, in a texture of 4096 to a line: a software adapter reads one in a third
// of the time that it takes from a buffer.
@group(1) @binding(0) var weight_texels: texture_storage_2d<rgba32uint, read>;

fn weight_unit(i: u32) -> vec4<u32> {
  return textureLoad(weight_texels, vec2<u32>(i % 4096u, i / 4096u));
}
