// A workgroup multiplies 8 * ROW_GROUPS rows by 128 columns, four columns a lane. With SPLITS above 1
// the inner dimension is divided, and the sums of its parts are added up in order: it depends on the
// matrix, never on the rows. A workgroup of 32 lanes makes one split (or several in turn). In a larger
// one each 32 lanes make one, and the first of them adds up what the others found.
override ROW_GROUPS: u32 = 2u; // of eight rows: one, two, or, in workgroups of 32 lanes, four
override SPLITS: u32 = 1u;
override WORKGROUP: u32 = 32u; // LANES, or LANES * SPLITS
override PARTIALS: u32 = 1u; // 256 * ROW_GROUPS in workgroups of more than 32 lanes

const LANES = 32u;

// [8 * ROW_GROUPS]: a lane's sums, by row; components are its columns
var<private> sums: array<vec4<f32>, 32>;

var<workgroup> partial_sums: array<vec4<f32>, PARTIALS>;

// The first of the inner dimension's units that these 32 lanes multiply; `own`: the split of the
// workgroup, where all its lanes make the same.
fn first_unit(thread: u32, own: u32, units: u32) -> u32 {
  if (SPLITS == 1u) {
    return 0u;
  }
  let each = (units + SPLITS - 1u) / SPLITS;
  if (WORKGROUP == LANES) {
    return own * each;
  }
  return thread / LANES * each;
}

// How many they multiply. Lanes with different splits take as many turns: those that hand rows to each
// other must do it together, and compilers must see that they do.
fn turns_of(own: u32, units: u32) -> u32 {
  let each = (units + SPLITS - 1u) / SPLITS;
  if (SPLITS > 1u && WORKGROUP == LANES) {
    return min(each, max(units, own * each) - own * each);
  }
  return each;
}

fn clear_sums() {
  sums = array<vec4<f32>, 32>();
}

fn put_partial(lane: u32, row: u32) {
  partial_sums[row * LANES + lane] = sums[row];
}

fn add_partial(lane: u32, row: u32) {
  sums[row] += partial_sums[row * LANES + lane];
}

// Brings the sums of all lanes' splits to the first 32 lanes.
fn combine_splits(thread: u32) {
  if (WORKGROUP == LANES) {
    return;
  }
  let lane = thread % LANES;
  for (var split = 1u; split < SPLITS; split++) {
    workgroupBarrier();
    if (thread / LANES == split) {
      put_partial(lane, 0u);
      put_partial(lane, 1u);
      put_partial(lane, 2u);
      put_partial(lane, 3u);
      put_partial(lane, 4u);
      put_partial(lane, 5u);
      put_partial(lane, 6u);
      put_partial(lane, 7u);
      if (ROW_GROUPS == 2u) {
        put_partial(lane, 8u);
        put_partial(lane, 9u);
        put_partial(lane, 10u);
        put_partial(lane, 11u);
        put_partial(lane, 12u);
        put_partial(lane, 13u);
        put_partial(lane, 14u);
        put_partial(lane, 15u);
      }
    }
    workgroupBarrier();
    if (thread < LANES) {
      add_partial(lane, 0u);
      add_partial(lane, 1u);
      add_partial(lane, 2u);
      add_partial(lane, 3u);
      add_partial(lane, 4u);
      add_partial(lane, 5u);
      add_partial(lane, 6u);
      add_partial(lane, 7u);
      if (ROW_GROUPS == 2u) {
        add_partial(lane, 8u);
        add_partial(lane, 9u);
        add_partial(lane, 10u);
        add_partial(lane, 11u);
        add_partial(lane, 12u);
        add_partial(lane, 13u);
        add_partial(lane, 14u);
        add_partial(lane, 15u);
      }
    }
  }
}
