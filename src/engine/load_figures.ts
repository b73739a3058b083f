/** How busy an engine is, and how well its requests share forward passes. */

/** Pages of keys and values. */
export interface PageFigures {
  /** Pages that there are. */
  readonly total: number;
  /** Pages that requests hold or that are set aside for them. */
  readonly used: number;
  /** Of these, pages that more than one canvas holds. */
  readonly shared: number;
}

/** The load of an engine; sums are since it was loaded, over all its devices. */
export interface LoadFigures {
  /** Requests that wait for a place now; one that has several answers counts once. */
  readonly waiting: number;
  /** Answers that run now. */
  readonly running: number;
  /** Answers that may run at once at most; absent where nobody says. */
  readonly places?: number;
  /** Forward passes of the target that requests could share. */
  readonly passes: number;
  /** Sum over these passes of the requests in each. */
  readonly passRequests: number;
  /** Sum over these passes of the rows in each. */
  readonly passRows: number;
  /** Forward passes of the draft that requests could share. */
  readonly draftPasses: number;
  /** Sum over the draft's passes of the requests in each. */
  readonly draftRequests: number;
  /** Sum over the draft's passes of the rows in each. */
  readonly draftRows: number;
  /** Most requests that one pass has had. */
  readonly mostRequests: number;
  /** Tokens that steps have decided, those of running answers included. */
  readonly committed: number;
  /** Steps or tokens that were proposed, of answers that ended. */
  readonly drafted: number;
  /** Of these, the accepted ones. */
  readonly accepted: number;
  /** Pages of keys and values of the target now. */
  readonly pages: PageFigures;
  /** Seconds in which passes ran. */
  readonly gpuSeconds: number;
  /** Seconds since the engine was loaded. */
  readonly seconds: number;
  /** Answers that ended in a second lately, while any ran; 0 before the first. */
  readonly answersPerSecond: number;
}

/** The load of an engine that has done nothing. */
export const NO_LOAD: LoadFigures = {
  waiting: 0,
  running: 0,
  places: 0,
  passes: 0,
  passRequests: 0,
  passRows: 0,
  draftPasses: 0,
  draftRequests: 0,
  draftRows: 0,
  mostRequests: 0,
  committed: 0,
  drafted: 0,
  accepted: 0,
  pages: { total: 0, used: 0, shared: 0 },
  gpuSeconds: 0,
  seconds: 0,
  answersPerSecond: 0,
};

/** Sums of an engine and of one before it; what is true only now comes from the later one. */
export function addLoad(before: LoadFigures, now: LoadFigures): LoadFigures {
  return {
    ...now,
    passes: before.passes + now.passes,
    passRequests: before.passRequests + now.passRequests,
    passRows: before.passRows + now.passRows,
    draftPasses: before.draftPasses + now.draftPasses,
    draftRequests: before.draftRequests + now.draftRequests,
    draftRows: before.draftRows + now.draftRows,
    mostRequests: Math.max(before.mostRequests, now.mostRequests),
    committed: before.committed + now.committed,
    drafted: before.drafted + now.drafted,
    accepted: before.accepted + now.accepted,
    gpuSeconds: before.gpuSeconds + now.gpuSeconds,
    seconds: before.seconds + now.seconds,
  };
}

/** The load of an engine that has ended: only its sums. */
export function atRest(load: LoadFigures): LoadFigures {
  return addLoad(load, NO_LOAD);
}
