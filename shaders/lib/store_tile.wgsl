// Stores what a lane found. `column` is its first; the kernel defines store_row(row, column, sums of
// its four columns).
fn store_tile(first: u32, column: u32) {
  store_row(first + 0u, column, sums[0]);
  store_row(first + 1u, column, sums[1]);
  store_row(first + 2u, column, sums[2]);
  store_row(first + 3u, column, sums[3]);
  store_row(first + 4u, column, sums[4]);
  store_row(first + 5u, column, sums[5]);
  store_row(first + 6u, column, sums[6]);
  store_row(first + 7u, column, sums[7]);
  if (ROW_GROUPS >= 2u) {
    store_row(first + 8u, column, sums[8]);
    store_row(first + 9u, column, sums[9]);
    store_row(first + 10u, column, sums[10]);
    store_row(first + 11u, column, sums[11]);
    store_row(first + 12u, column, sums[12]);
    store_row(first + 13u, column, sums[13]);
    store_row(first + 14u, column, sums[14]);
    store_row(first + 15u, column, sums[15]);
  }
  if (ROW_GROUPS == 4u) {
    store_row(first + 16u, column, sums[16]);
    store_row(first + 17u, column, sums[17]);
    store_row(first + 18u, column, sums[18]);
    store_row(first + 19u, column, sums[19]);
    store_row(first + 20u, column, sums[20]);
    store_row(first + 21u, column, sums[21]);
    store_row(first + 22u, column, sums[22]);
    store_row(first + 23u, column, sums[23]);
    store_row(first + 24u, column, sums[24]);
    store_row(first + 25u, column, sums[25]);
    store_row(first + 26u, column, sums[26]);
    store_row(first + 27u, column, sums[27]);
    store_row(first + 28u, column, sums[28]);
    store_row(first + 29u, column, sums[29]);
    store_row(first + 30u, column, sums[30]);
    store_row(first + 31u, column, sums[31]);
  }
}
