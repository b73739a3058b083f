// Keys and values in 16 bits: 2^-11 of a value is lost at most, twice that where the device does not
// round to nearest; below 2^-14 it may take them for zero. Beyond 65504 the largest f16 stands for what
// an f16 cannot hold: an infinity would make NaN of every sum that meets it.
alias Element = f16;
alias Element4 = vec2<u32>; // two words: a software adapter takes a fifth longer over four f16

fn narrowed(x: f32) -> Element {
  return f16(clamp(x, -65504.0, 65504.0));
}

fn widened(four: Element4) -> vec4<f32> {
  return vec4<f32>(unpack2x16float(four.x), unpack2x16float(four.y));
}

fn narrowed4(four: vec4<f32>) -> Element4 {
  let held = clamp(four, vec4<f32>(-65504.0), vec4<f32>(65504.0));
  return vec2<u32>(pack2x16float(held.xy), pack2x16float(held.zw));
}

// Eight of them, read at once.
alias Element8 = vec4<u32>;

fn first_four(eight: Element8) -> vec4<f32> {
  return widened(eight.xy);
}

fn last_four(eight: Element8) -> vec4<f32> {
  return widened(eight.zw);
}
