// Rows as they were computed, four k at a time; for int8 arithmetic the bits of quantize_rows.wgsl.
alias RowUnit = vec4<f32>;
