// Matrices of 8 rows, 16 columns and an inner size of 16, as Intel's units have. A type names its columns
// first.
alias Left = subgroup_matrix_left<f16, 16, 8>;
alias Right = subgroup_matrix_right<f16, 16, 16>;
alias Product = subgroup_matrix_result<f32, 16, 8>;

const MATRIX_ROWS = 8u;
const MATRIX_COLUMNS = 16u;
const MATRIX_INNER = 16u;
