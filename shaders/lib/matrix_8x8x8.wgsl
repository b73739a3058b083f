// Matrices of 8 rows, 8 columns and an inner size of 8, as Apple's units and software adapters have.
alias Left = subgroup_matrix_left<f16, 8, 8>;
alias Right = subgroup_matrix_right<f16, 8, 8>;
alias Product = subgroup_matrix_result<f32, 8, 8>;

const MATRIX_ROWS = 8u;
const MATRIX_COLUMNS = 8u;
const MATRIX_INNER = 8u;
