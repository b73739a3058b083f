// Rows that narrow_rows.wgsl made, four k at a time.
alias RowUnit = vec4<f16>;
