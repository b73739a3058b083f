// Eight lines of a matrix come to all lanes by address, as in rows_uniform.wgsl.
struct EightRows {
  a: array<vec4<f32>, 8>,
  b: array<vec4<f32>, 8>,
}

// Units `offset` and `offset + 1` of lines first to first + 7; behind the last one it is repeated.
fn eight_lines(lane: u32, first: u32, last: u32, stride: u32, offset: u32) -> EightRows {
  let at0 = min(first, last) * stride + offset;
  let at1 = min(first + 1u, last) * stride + offset;
  let at2 = min(first + 2u, last) * stride + offset;
  let at3 = min(first + 3u, last) * stride + offset;
  let at4 = min(first + 4u, last) * stride + offset;
  let at5 = min(first + 5u, last) * stride + offset;
  let at6 = min(first + 6u, last) * stride + offset;
  let at7 = min(first + 7u, last) * stride + offset;
  return EightRows(
    array(a[at0], a[at1], a[at2], a[at3], a[at4], a[at5], a[at6], a[at7]),
    array(
      a[at0 + 1u], a[at1 + 1u], a[at2 + 1u], a[at3 + 1u],
      a[at4 + 1u], a[at5 + 1u], a[at6 + 1u], a[at7 + 1u],
    ),
  );
}
