/**
 * A process that opens a copy of a journal, says what came of it as one line of JSON, and ends: `opening.ts <dir>
 * tail|all`. By itself, so that LevelDB may abort it.
 */
import { systemClock } from '../../clock.ts'
import { Failure } from '../../failure.ts'
import { openLevelJournal } from '../../journal/level.ts'

export type Opened =
  | {
      readonly ok: true
      readonly seq: number
      /** Time of the last fact, ms since the epoch. */
      readonly at?: number | undefined
      /** The last fact that was trimmed; 0 where all are here. */
      readonly base: number
      /** How many of the last facts were read. */
      readonly verified: number
    }
  | { readonly ok: false; readonly code: string; readonly message: string }

const TAIL_FACTS = 1_000

const [dir = '', which] = process.argv.slice(2)
process.stdout.write(`${JSON.stringify(await opened().catch(told))}\n`)

async function opened(): Promise<Opened> {
  const journal = await openLevelJournal({ dir, clock: systemClock, reserveBytes: 0 })
  try {
    const { seq } = journal.head
    // What was trimmed is in archive files; see archives.ts.
    const begins = journal.base.seq
    const after = which === 'all' ? begins : Math.max(begins, seq - TAIL_FACTS)
    let at: number | undefined
    for await (const page of journal.read({ after })) at = page.at(-1)?.at
    return { ok: true, seq, at, base: begins, verified: seq - after }
  } finally {
    await journal.close()
  }
}

function told(error: unknown): Opened {
  if (!(error instanceof Failure)) throw error
  return { ok: false, code: error.code, message: error.message }
}
