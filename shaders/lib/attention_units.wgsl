// What attention.wgsl does with one unit or two, for eight of them from i on, and for all. Units are
// literals, so that arrays of them stay in registers once this is inlined.

fn load_query8(lane: u32, i: u32, start: u32) {
  load_query(lane, i, start);
  load_query(lane, i + 1u, start);
  load_query(lane, i + 2u, start);
  load_query(lane, i + 3u, start);
  load_query(lane, i + 4u, start);
  load_query(lane, i + 5u, start);
  load_query(lane, i + 6u, start);
  load_query(lane, i + 7u, start);
}

fn score8(lane: u32, i: u32, fence: u32) {
  score(lane, i, fence);
  score(lane, i + 2u, fence);
  score(lane, i + 4u, fence);
  score(lane, i + 6u, fence);
}

fn add_values8(lane: u32, i: u32, factor: f32, fence: u32) {
  add_values(lane, i, factor, fence);
  add_values(lane, i + 2u, factor, fence);
  add_values(lane, i + 4u, factor, fence);
  add_values(lane, i + 6u, factor, fence);
}

fn score_own8(lane: u32, i: u32, start: u32) {
  score_own(lane, i, start);
  score_own(lane, i + 2u, start);
  score_own(lane, i + 4u, start);
  score_own(lane, i + 6u, start);
}

fn add_own_value8(i: u32, start: u32, factor: f32) {
  add_own_value(i, start, factor);
  add_own_value(i + 2u, start, factor);
  add_own_value(i + 4u, start, factor);
  add_own_value(i + 6u, start, factor);
}

fn store8(i: u32, at: u32, channels: u32, merge: Merge) {
  store(i, at, channels, merge);
  store(i + 1u, at, channels, merge);
  store(i + 2u, at, channels, merge);
  store(i + 3u, at, channels, merge);
  store(i + 4u, at, channels, merge);
  store(i + 5u, at, channels, merge);
  store(i + 6u, at, channels, merge);
  store(i + 7u, at, channels, merge);
}

fn store_part8(i: u32, at: u32) {
  store_part(i, at);
  store_part(i + 1u, at);
  store_part(i + 2u, at);
  store_part(i + 3u, at);
  store_part(i + 4u, at);
  store_part(i + 5u, at);
  store_part(i + 6u, at);
  store_part(i + 7u, at);
}

fn store_all(at: u32, merge: Merge) {
  store8(0u, at, params.head_dim, merge);
  if (UNITS > 8u) {
    store8(8u, at, params.head_dim, merge);
  }
  if (UNITS > 16u) {
    store8(16u, at, params.head_dim, merge);
  }
  if (UNITS > 24u) {
    store8(24u, at, params.head_dim, merge);
  }
}
