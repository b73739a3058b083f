// Keys of a chunk, by the keys of the whole sequence: short enough to fill a GPU with a few queries,
// and long enough that merging costs little. Multiples of eight.
fn chunk_length(keys: u32) -> u32 {
  if (keys <= 1024u) {
    return 64u;
  }
  return select(1024u, 256u, keys <= 4096u);
}
