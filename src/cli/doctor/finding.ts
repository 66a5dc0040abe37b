/** What a doctor says: one sentence on what is, and where something is wrong, one on what to do. */

export type Verdict = 'ok' | 'warning' | 'bad'

export interface Finding {
  readonly verdict: Verdict
  readonly says: string
  /** What to do next; where nothing is wrong, nothing. */
  readonly next?: string
}

/** What is looked at. */
export interface Patient {
  readonly dir: string
  /** The folder of archive files. */
  readonly archiveDir: string
  /** Every fact, and not the last ones only. */
  readonly deep: boolean
  /** ms since the epoch. */
  readonly now: number
  readonly signal: AbortSignal
}

/** Looks, and changes nothing. No findings: there is nothing here of the kind. */
export type Room = (patient: Patient) => Promise<readonly Finding[]>

export const ok = (says: string): Finding => ({ verdict: 'ok', says })
export const warning = (says: string, next: string): Finding => ({ verdict: 'warning', says, next })
export const bad = (says: string, next: string): Finding => ({ verdict: 'bad', says, next })
