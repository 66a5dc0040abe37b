/** How much may be on its way on a line between a house and an agent. */

/** The largest message that is taken: a status of a node with thousands of models fits. */
export const MESSAGE_BYTES_MAX = 4 * 1024 * 1024
/** Of a body, in one message. */
export const PIECE_BYTES_MAX = 256 * 1024
/** What may be sent to one that does not read, a stream; some round trips' worth of a fast network. */
export const FLOW_WINDOW_BYTES = 1024 * 1024
/** Calls at once on one connection, idle streams included. */
export const CALLS_MAX = 1_024
/** A connection on which nothing moves is asked whether it is still there, and has so long to say. */
export interface Probe {
  readonly afterMs: number
  readonly patienceMs: number
}

/** Whoever is gone without a word is known to be within twenty seconds. */
export const PROBE: Probe = { afterMs: 10_000, patienceMs: 8_000 }

/** Of a body, message by message. */
export function pieces(bytes: Buffer, max: number, each: (piece: Buffer) => void): void {
  for (let at = 0; at < bytes.length; at += max) each(bytes.subarray(at, at + max))
}
