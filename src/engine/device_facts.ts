/** What a program may show of the device that an engine computes on. */

/** A device, and what its memory holds. */
export interface DeviceFacts {
  /** Name of the adapter, from the driver. */
  readonly adapter: string;
  /** Most bytes that model, draft and an answer take; undefined before they are planned. */
  readonly plannedBytes?: number;
  /** Bytes that they may take; undefined where that is not known. */
  readonly memoryBytes?: number;
}
