/**
 * Everything after a mark, then whatever comes, without a gap and at the reader's own pace: SSE, mirrors, audits.
 * Pages come from the disk until the reader has caught up and from memory from then on, so that thousands may
 * follow. Ends with the signal, or when the journal is closed.
 */
import { Failure } from '../failure.ts'
import { gap } from './damage.ts'
import type { Entry, Journal, Range } from './journal.ts'
import type { Turns } from './turns.ts'

/** A journal, or the same in another form: the mirror's records. */
export interface Followed<Item = Entry> extends Pick<Journal, 'durable' | 'closed' | 'watch'> {
  readonly recent: (after: number) => readonly Item[] | undefined
  readonly read: (range: Range) => AsyncIterable<readonly Item[]>
}

/** How far a reader that is behind comes in one turn, where others wait for theirs. */
const TURN_FACTS = 10_000

export async function* follow<Item extends { readonly seq: number } = Entry>(
  journal: Followed<Item>,
  {
    after = 0,
    signal,
    turns,
  }: {
    readonly after?: number
    readonly signal: AbortSignal
    /** Who is behind holds a page or two, so that only so many may be at once. Throws what it throws. */
    readonly turns?: Turns | undefined
  },
): AsyncGenerator<readonly Item[]> {
  // Only durable facts are ever handed out, so a mark beyond them comes from facts that this journal has lost.
  if (after > journal.durable) throw gap(journal.durable + 1, { end: after })
  let mark = after
  let wake = (): void => {}
  const call = (): void => wake()
  const unwatch = journal.watch(call)
  signal.addEventListener('abort', call)
  const woken = (): Promise<void> =>
    new Promise(resolve => {
      wake = resolve
    })

  try {
    while (!signal.aborted && !journal.closed) {
      const page = journal.recent(mark)
      if (page === undefined) {
        const done = await turns?.take(signal)
        try {
          const until = turns === undefined ? undefined : mark + TURN_FACTS
          for await (const older of journal.read({ after: mark, ...(until && { until }) })) {
            if (signal.aborted) return
            mark = older.at(-1)!.seq
            yield older
            if (signal.aborted) return
          }
        } catch (error) {
          if (journal.closed) return
          // Between two handles of a failing disk there is nothing to read from; the journal tells of every attempt.
          if (!(error instanceof Failure && error.retryable)) throw error
          await woken()
        } finally {
          done?.()
        }
      } else if (page.length > 0) {
        mark = page.at(-1)!.seq
        yield page
      } else {
        await woken()
      }
    }
  } finally {
    unwatch()
    signal.removeEventListener('abort', call)
  }
}
