// Keys and values as they were computed.
alias Element = f32;
alias Element4 = vec4<f32>;

fn narrowed(x: f32) -> Element {
  return x;
}

fn widened(four: Element4) -> vec4<f32> {
  return four;
}

fn narrowed4(four: vec4<f32>) -> Element4 {
  return four;
}

// Eight of them, read at once.
struct Element8 {
  a: Element4,
  b: Element4,
}

fn first_four(eight: Element8) -> vec4<f32> {
  return eight.a;
}

fn last_four(eight: Element8) -> vec4<f32> {
  return eight.b;
}
