// Keys and values as they were computed.
alias Element = f32;

fn narrowed(x: f32) -> Element {
  return x;
}
