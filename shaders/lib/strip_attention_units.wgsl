// What strip_attention.wgsl does with one unit or two, for all of them. Units are literals, so that arrays of
// them stay in registers once this is inlined.

fn load_queries(start: u32, other_start: u32) {
  load_query(0u, start, other_start);
  load_query(1u, start, other_start);
  load_query(2u, start, other_start);
  load_query(3u, start, other_start);
  load_query(4u, start, other_start);
  load_query(5u, start, other_start);
  load_query(6u, start, other_start);
  load_query(7u, start, other_start);
  if (UNITS > 8u) {
    load_query(8u, start, other_start);
    load_query(9u, start, other_start);
    load_query(10u, start, other_start);
    load_query(11u, start, other_start);
    load_query(12u, start, other_start);
    load_query(13u, start, other_start);
    load_query(14u, start, other_start);
    load_query(15u, start, other_start);
  }
  if (UNITS > 16u) {
    load_query(16u, start, other_start);
    load_query(17u, start, other_start);
    load_query(18u, start, other_start);
    load_query(19u, start, other_start);
    load_query(20u, start, other_start);
    load_query(21u, start, other_start);
    load_query(22u, start, other_start);
    load_query(23u, start, other_start);
  }
  if (UNITS > 24u) {
    load_query(24u, start, other_start);
    load_query(25u, start, other_start);
    load_query(26u, start, other_start);
    load_query(27u, start, other_start);
    load_query(28u, start, other_start);
    load_query(29u, start, other_start);
    load_query(30u, start, other_start);
    load_query(31u, start, other_start);
  }
}

fn score_all(lane: u32, start: u32) {
  score(lane, 0u, start);
  score(lane, 2u, start);
  score(lane, 4u, start);
  score(lane, 6u, start);
  if (UNITS > 8u) {
    score(lane, 8u, start);
    score(lane, 10u, start);
    score(lane, 12u, start);
    score(lane, 14u, start);
  }
  if (UNITS > 16u) {
    score(lane, 16u, start);
    score(lane, 18u, start);
    score(lane, 20u, start);
    score(lane, 22u, start);
  }
  if (UNITS > 24u) {
    score(lane, 24u, start);
    score(lane, 26u, start);
    score(lane, 28u, start);
    score(lane, 30u, start);
  }
}

fn add_all_values(lane: u32, start: u32) {
  add_values(lane, 0u, start);
  add_values(lane, 2u, start);
  add_values(lane, 4u, start);
  add_values(lane, 6u, start);
  if (UNITS > 8u) {
    add_values(lane, 8u, start);
    add_values(lane, 10u, start);
    add_values(lane, 12u, start);
    add_values(lane, 14u, start);
  }
  if (UNITS > 16u) {
    add_values(lane, 16u, start);
    add_values(lane, 18u, start);
    add_values(lane, 20u, start);
    add_values(lane, 22u, start);
  }
  if (UNITS > 24u) {
    add_values(lane, 24u, start);
    add_values(lane, 26u, start);
    add_values(lane, 28u, start);
    add_values(lane, 30u, start);
  }
}

fn score_all_own(start: u32) {
  score_own(0u, start);
  score_own(2u, start);
  score_own(4u, start);
  score_own(6u, start);
  if (UNITS > 8u) {
    score_own(8u, start);
    score_own(10u, start);
    score_own(12u, start);
    score_own(14u, start);
  }
  if (UNITS > 16u) {
    score_own(16u, start);
    score_own(18u, start);
    score_own(20u, start);
    score_own(22u, start);
  }
  if (UNITS > 24u) {
    score_own(24u, start);
    score_own(26u, start);
    score_own(28u, start);
    score_own(30u, start);
  }
}

fn add_all_own_values(start: u32) {
  add_own_value(0u, start);
  add_own_value(2u, start);
  add_own_value(4u, start);
  add_own_value(6u, start);
  if (UNITS > 8u) {
    add_own_value(8u, start);
    add_own_value(10u, start);
    add_own_value(12u, start);
    add_own_value(14u, start);
  }
  if (UNITS > 16u) {
    add_own_value(16u, start);
    add_own_value(18u, start);
    add_own_value(20u, start);
    add_own_value(22u, start);
  }
  if (UNITS > 24u) {
    add_own_value(24u, start);
    add_own_value(26u, start);
    add_own_value(28u, start);
    add_own_value(30u, start);
  }
}

fn store_all(inside: bool, at: u32, other_inside: bool, other_at: u32) {
  store(0u, inside, at, other_inside, other_at);
  store(1u, inside, at, other_inside, other_at);
  store(2u, inside, at, other_inside, other_at);
  store(3u, inside, at, other_inside, other_at);
  store(4u, inside, at, other_inside, other_at);
  store(5u, inside, at, other_inside, other_at);
  store(6u, inside, at, other_inside, other_at);
  store(7u, inside, at, other_inside, other_at);
  if (UNITS > 8u) {
    store(8u, inside, at, other_inside, other_at);
    store(9u, inside, at, other_inside, other_at);
    store(10u, inside, at, other_inside, other_at);
    store(11u, inside, at, other_inside, other_at);
    store(12u, inside, at, other_inside, other_at);
    store(13u, inside, at, other_inside, other_at);
    store(14u, inside, at, other_inside, other_at);
    store(15u, inside, at, other_inside, other_at);
  }
  if (UNITS > 16u) {
    store(16u, inside, at, other_inside, other_at);
    store(17u, inside, at, other_inside, other_at);
    store(18u, inside, at, other_inside, other_at);
    store(19u, inside, at, other_inside, other_at);
    store(20u, inside, at, other_inside, other_at);
    store(21u, inside, at, other_inside, other_at);
    store(22u, inside, at, other_inside, other_at);
    store(23u, inside, at, other_inside, other_at);
  }
  if (UNITS > 24u) {
    store(24u, inside, at, other_inside, other_at);
    store(25u, inside, at, other_inside, other_at);
    store(26u, inside, at, other_inside, other_at);
    store(27u, inside, at, other_inside, other_at);
    store(28u, inside, at, other_inside, other_at);
    store(29u, inside, at, other_inside, other_at);
    store(30u, inside, at, other_inside, other_at);
    store(31u, inside, at, other_inside, other_at);
  }
}
