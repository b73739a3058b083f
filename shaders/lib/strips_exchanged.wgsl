// Eight lines of a matrix come to all lanes by exchange, as in rows_exchanged.wgsl.

// Units `offset` and `offset + 1` of lines first to first + 7; behind the last one it is repeated.
fn eight_lines(lane: u32, first: u32, last: u32, stride: u32, offset: u32) -> EightRows {
  let at = min(first + row_of_lane(lane), last) * stride + offset;
  return gather_rows(lane, a[at], a[at + 1u]);
}
