/**
 * Everything after a mark, then whatever comes, without a gap and at the reader's own pace: SSE, mirrors, audits.
 * Pages come from the disk until the reader has caught up and from memory from then on, so that hundreds may
 * follow. Ends with the signal, or when the journal is closed.
 */
import { Failure } from '../failure.ts'
import { gap } from './damage.ts'
import type { Entry, Journal } from './journal.ts'

export async function* follow(
  journal: Journal,
  { after = 0, signal }: { readonly after?: number; readonly signal: AbortSignal },
): AsyncGenerator<readonly Entry[]> {
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
        try {
          for await (const older of journal.read({ after: mark })) {
            mark = older.at(-1)!.seq
            yield older
            if (signal.aborted) return
          }
        } catch (error) {
          if (journal.closed) return
          // Between two handles of a failing disk there is nothing to read from; the journal tells of every attempt.
          if (!(error instanceof Failure && error.retryable)) throw error
          await woken()
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
