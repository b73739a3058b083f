/** The loss of a student against a teacher, and its gradient in place of the student's logits. */

import {
  CARD_TERMS,
  DISTIL_WORDS,
  distilLoss,
  type DistilTerms,
} from "../../src/kernels/distil_loss.ts";
import { TOP_WORDS, topTokens } from "../../src/kernels/top_tokens.ts";
import { paddedInner } from "../../src/quant/scheme.ts";
import { defineCase, GUARD_ROWS } from "./case.ts";
import { inPlace, logitRows } from "./logit_rows.ts";

interface Size {
  readonly name: string;
  readonly rows: number;
  readonly columns: number;
  /** Tokens of the teacher that are compared. */
  readonly count: number;
  /** Standard deviation of the teacher's logits; the student's differ from them by as much. */
  readonly scale: number;
  /** Added to all logits, which changes nothing. */
  readonly offset?: number;
  /** The student's logits are almost the teacher's. */
  readonly near?: boolean;
  readonly firstRow?: number;
  readonly terms?: Partial<DistilTerms>;
  /** Lanes of a workgroup; those of this device by default. */
  readonly lanes?: number;
}

/** Logits of both, and weights of the entries. */
export interface DistilInputs {
  readonly rows: number;
  readonly columns: number;
  readonly count: number;
  readonly firstRow?: number;
  readonly terms?: Partial<DistilTerms>;
  /** `[rows, paddedInner(columns)]` */
  readonly student: ArrayLike<number>;
  readonly teacher: ArrayLike<number>;
  readonly weights: ArrayLike<number>;
}

/** Stands in entries that no row has, and behind the last row. */
const GUARD = 77;

/** The largest number's place, and the sum of exp(l - largest) over the others. */
function softmaxOf(row: readonly number[]) {
  const peak = row.indexOf(Math.max(...row));
  const others = row.reduce((sum, l, i) => i === peak ? sum : sum + Math.exp(l - row[peak]), 0);
  const log = (i: number) => row[i] - row[peak] - Math.log1p(others);
  return { peak, others, log };
}

/** The terms of each row without its weight, and their gradients, in f64. */
export function distilRows(inputs: DistilInputs) {
  const { rows, columns, count, terms } = inputs;
  const { ce, kl, mse, direction, temperature } = { ...CARD_TERMS, ...terms };
  const stride = paddedInner(columns);
  return Array.from({ length: rows }, (_, row) => {
    const rowOf = (logits: ArrayLike<number>) =>
      Array.from({ length: columns }, (_, token) => logits[row * stride + token]);
    const s = rowOf(inputs.student);
    const t = rowOf(inputs.teacher);
    const student = softmaxOf(s);
    const teacher = softmaxOf(t);
    const best = [...t.keys()].sort((a, b) => t[b] - t[a] || a - b).slice(0, count);
    const top = best[0];
    const p = softmaxOf(best.map((token) => s[token] / temperature));
    const q = softmaxOf(best.map((token) => t[token] / temperature));
    const apart = (teacher.others - student.others) / (1 + student.others) / (1 + teacher.others);
    const gaps = best.map((_, i) => p.log(i) - q.log(i));
    const fromTeacher = direction === "teacher_student";
    const divergence = gaps.reduce(
      (sum, gap, i) => sum + (fromTeacher ? -Math.exp(q.log(i)) : Math.exp(p.log(i))) * gap,
      0,
    );
    const losses = {
      ce: -student.log(top),
      kl: temperature ** 2 * divergence,
      mse: apart ** 2,
    };
    const total = ce * losses.ce + kl * losses.kl + mse * losses.mse;
    const gradient = s.map((_, token) => {
      const probability = Math.exp(student.log(token));
      const less = (place: number) =>
        token !== place
          ? probability
          : token === student.peak
          ? -student.others / (1 + student.others)
          : probability - 1;
      return ce * less(top) - mse * 2 * apart / (1 + student.others) * less(student.peak);
    });
    best.forEach((token, i) => {
      const [own, other] = [Math.exp(p.log(i)), Math.exp(q.log(i))];
      gradient[token] += kl * temperature *
        (fromTeacher ? own - other : own * (gaps[i] - divergence));
    });
    return { losses, total, gradient, correct: student.peak === top };
  });
}

/** The formulas, in f64; entries of no row stay as they were. */
export function reference(inputs: DistilInputs) {
  const { rows, columns, firstRow = 0, weights } = inputs;
  const stride = paddedInner(columns);
  const logits = new Float64Array((rows + GUARD_ROWS) * stride);
  logits.fill(GUARD, rows * stride);
  const losses = new Float64Array(DISTIL_WORDS * weights.length).fill(GUARD);
  const correct = new Float64Array(weights.length).fill(GUARD);
  distilRows(inputs).forEach((row, i) => {
    const entry = firstRow + i;
    const weight = weights[entry];
    const { ce, kl, mse } = row.losses;
    losses.set([ce, kl, mse, row.total].map((loss) => weight * loss), DISTIL_WORDS * entry);
    logits.set(row.gradient.map((slope) => weight * slope), i * stride);
    correct[entry] = row.correct ? 1 : 0;
  });
  return { logits, losses, correct };
}

const CE_ALONE = { ce: 1, kl: 0, mse: 0 };
const KL_ALONE = { ce: 0, kl: 1, mse: 0 };
const MSE_ALONE = { ce: 0, kl: 0, mse: 1 };
const FROM_TEACHER = { direction: "teacher_student" } as const;

/** Every term alone and all together, both directions, temperatures, rows that agree and that do not. */
export const kernelCase = defineCase<Size, Size & DistilInputs>({
  kernel: "distil_loss",
  tolerance: 4e-6,
  sizes: [
    { name: "of one", rows: 2, columns: 1, count: 1, scale: 1 },
    { name: "fewer tokens than asked for", rows: 3, columns: 7, count: 32, scale: 2 },
    { name: "all terms", rows: 5, columns: 320, count: 32, scale: 2, firstRow: 3 },
    { name: "cross-entropy", rows: 4, columns: 77, count: 8, scale: 2, terms: CE_ALONE },
    { name: "divergence", rows: 4, columns: 77, count: 8, scale: 2, terms: KL_ALONE },
    {
      name: "divergence, from the teacher, warm",
      rows: 4,
      columns: 77,
      count: 8,
      scale: 3,
      terms: { ...KL_ALONE, ...FROM_TEACHER, temperature: 2.5 },
    },
    {
      name: "divergence, warm",
      rows: 4,
      columns: 77,
      count: 64,
      scale: 3,
      terms: { ...KL_ALONE, temperature: 2.5 },
    },
    { name: "largest probability", rows: 6, columns: 77, count: 8, scale: 2, terms: MSE_ALONE },
    { name: "near", rows: 6, columns: 200, count: 32, scale: 4, near: true },
    {
      name: "near, from the teacher",
      rows: 6,
      columns: 200,
      count: 32,
      scale: 4,
      near: true,
      terms: FROM_TEACHER,
    },
    { name: "sure and far apart", rows: 8, columns: 129, count: 16, scale: 20 },
    { name: "far from 0", rows: 4, columns: 77, count: 8, scale: 2, terms: KL_ALONE, offset: -300 },
    {
      name: "far from 0, from the teacher, cold",
      rows: 4,
      columns: 77,
      count: 8,
      scale: 2,
      terms: { ...KL_ALONE, ...FROM_TEACHER, temperature: 0.7 },
      offset: 300,
    },
    {
      name: "fewer tokens than asked for, cold",
      rows: 3,
      columns: 7,
      count: 32,
      scale: 2,
      terms: { ...FROM_TEACHER, temperature: 0.5 },
    },
    { name: "5001", rows: 2, columns: 5001, count: 32, scale: 2 },
    { name: "5001, 256 lanes", rows: 2, columns: 5001, count: 64, scale: 2, lanes: 256 },
    { name: "33, 256 lanes", rows: 3, columns: 33, count: 8, scale: 2, lanes: 256 },
  ],
  modelSizes: [{ name: "32 rows of 32768", rows: 32, columns: 32768, count: 32, scale: 3 }],
  inputs(size, random) {
    const { rows, columns, scale, near, firstRow = 0, offset = 0 } = size;
    const original = logitRows(random, rows, columns, scale);
    const other = logitRows(random, rows, columns, near ? 1e-2 : scale);
    const teacher = original.map((logit) => logit + offset);
    const student = original.map((logit, i) =>
      offset + (near || i % 3 > 0 ? logit + other[i] : other[i])
    );
    return { ...size, student, teacher, weights: random.floats(firstRow + rows + 2, 0.5) };
  },
  upload(tensors, { rows, columns, count, firstRow, terms, lanes, ...data }) {
    const { student, teacher, weights } = data;
    const stride = paddedInner(columns);
    const entries = weights.length;
    const outputs = {
      logits: inPlace(tensors, "logits", Float32Array.from(student), GUARD_ROWS * stride, GUARD),
      losses: inPlace(tensors, "losses", new Float32Array(0), DISTIL_WORDS * entries, GUARD),
      correct: inPlace(tensors, "correct", new Uint32Array(0), entries, GUARD),
    };
    const read = tensors.of("teacher", Float32Array.from(teacher));
    const ranked = tensors.of("ranked", new Uint32Array(TOP_WORDS * count * entries));
    const sums = tensors.of("sums", new Float32Array(TOP_WORDS * entries));
    const bound = {
      logits: outputs.logits.tensor,
      ranked,
      sums,
      weights: tensors.of("weights", Float32Array.from(weights)),
      losses: outputs.losses.tensor,
      correct: outputs.correct.tensor,
    };
    const shape = { rows, columns, stride, firstRow, count };
    return {
      record(recorder) {
        topTokens(recorder, { logits: read, ranked, sums }, shape);
        distilLoss(recorder, bound, { ...shape, lanes, terms: { ...CARD_TERMS, ...terms } });
      },
      outputs,
    };
  },
  reference,
  differences: (inputs) => ({
    variables: { student: Float64Array.from(inputs.student) },
    value: ({ student }) =>
      distilRows({ ...inputs, student }).reduce(
        (sum, { total }, row) => sum + inputs.weights[(inputs.firstRow ?? 0) + row] * total,
        0,
      ),
    gradients: { student: reference(inputs).logits.slice(0, inputs.student.length) },
  }),
  cost: ({ rows, columns }) => ({ multiplyAdds: 0, bytes: 20 * rows * columns }),
});
