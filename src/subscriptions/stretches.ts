/**
 * How far the readers of one subscription are. What has been looked at and is not acknowledged is cut into stretches of
 * the journal: out on a lease, or back because nobody acknowledged them.
 *
 *   acknowledged ──┤ mark   [ out ][ back ][ out ]   read ├── not looked at yet ──▶
 *
 * A stretch is whole: all facts in it that are wanted went out together. So the mark needs no list of seqs: it stands
 * where the first stretch begins, and nothing that is not acknowledged is before it.
 */

/** The facts after `after`, up to and including `through`. */
export interface Stretch {
  readonly after: number
  readonly through: number
  /** How often it has been handed out, this time included. */
  readonly attempt: number
}

interface Open extends Stretch {
  /** Whose it is now; undefined while it is back. */
  readonly lease?: string
}

export class Stretches {
  /** In order, and none overlaps another. */
  readonly #open: Open[] = []
  /** Everything up to here has been looked at. */
  #read: number

  constructor(mark: number) {
    this.#read = mark
  }

  /** Everything up to here is acknowledged, or was not wanted. */
  get mark(): number {
    return this.#open[0]?.after ?? this.#read
  }

  /** Stretches out on a lease. */
  get out(): number {
    return this.#open.reduce((count, { lease }) => count + (lease === undefined ? 0 : 1), 0)
  }

  /** What is to be handed out next: what came back first, then what nobody has looked at, which is open-ended. */
  next(): Stretch {
    const back = this.#open.find(({ lease }) => lease === undefined)
    return back ?? { after: this.#read, through: Number.POSITIVE_INFINITY, attempt: 1 }
  }

  /** Of `next()`, what was looked at, up to and including `through`: out on a lease, or done with where there is none. */
  settle({ after, through: end, attempt }: Stretch, through: number, lease?: string): void {
    const taken = lease === undefined ? [] : [{ after, through, attempt, lease }]
    const at = this.#open.findIndex(open => open.after === after && open.lease === undefined)
    if (at === -1) {
      this.#read = through
      this.#open.push(...taken)
    } else {
      const rest = through < end ? [{ after: through, through: end, attempt }] : []
      this.#open.splice(at, 1, ...taken, ...rest)
    }
  }

  /** What is out under a lease; undefined where that was acknowledged or came back. */
  of(lease: string): Stretch | undefined {
    return this.#open.find(open => open.lease === lease)
  }

  /** Acknowledges what is out under a lease, up to and including `through`. */
  ack(lease: string, through = Number.POSITIVE_INFINITY): void {
    const at = this.#open.findIndex(open => open.lease === lease)
    const stretch = this.#open[at]
    if (stretch === undefined || through <= stretch.after) return
    this.#open.splice(at, 1, ...(through < stretch.through ? [{ ...stretch, after: through }] : []))
  }

  /** Everything up to and including `through`, whoever has it. */
  ackThrough(through: number): void {
    const first = this.#open.findIndex(open => open.through > through)
    this.#open.splice(0, first === -1 ? this.#open.length : first)
    const [stretch] = this.#open
    if (stretch !== undefined && stretch.after < through) this.#open[0] = { ...stretch, after: through }
    this.#read = Math.max(this.#read, through)
  }

  /** What is out under a lease is for whoever comes next. */
  giveBack(lease: string): void {
    const at = this.#open.findIndex(open => open.lease === lease)
    const stretch = this.#open[at]
    if (stretch === undefined) return
    const { after, through, attempt } = stretch
    this.#open[at] = { after, through, attempt: attempt + 1 }
  }
}
