// Matrices of 16 rows, 16 columns and an inner size of 16, as NVIDIA and AMD units have.
alias Left = subgroup_matrix_left<f16, 16, 16>;
alias Right = subgroup_matrix_right<f16, 16, 16>;
alias Product = subgroup_matrix_result<f32, 16, 16>;

const MATRIX_ROWS = 16u;
const MATRIX_COLUMNS = 16u;
const MATRIX_INNER = 16u;
