/**
 * How far each subscription is, in one small file beside the journal. A line each:
 *
 *   name, seq of the fact that made the subscription, mark, the first 16 hexadecimal digits of a SHA-256 over these and the
 *   journal's id
 *
 * So a line is of use for this subscription of this journal alone, and one that is damaged costs one mark. A mark that is
 * lost is no loss: its subscription begins again where it began, and its readers see facts twice.
 *
 * The file is written anew as a whole, synced, and put in the place of the old one, at most five times a second for all.
 */
import { createHash } from 'node:crypto'
import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clock, Timer } from '../clock.ts'
import { Failure } from '../failure.ts'
import { replaceFile } from '../replace.ts'

/** Which subscription: there may have been others of its name. */
export interface Marked {
  readonly name: string
  /** Of the fact that made it. */
  readonly seq: number
}

export interface Marks {
  /** Reads what there is; before anything else is asked. */
  open(): Promise<void>
  /** Undefined where there is none that can be trusted. */
  of(subscription: Marked): number | undefined
  /** Resolves when it is on the disk. Rejects with a Failure `marks.disk`: then it is in memory only. */
  move(subscription: Marked, mark: number): Promise<void>
  /** The same for whoever does not wait, and would not mind to see a few seconds of facts again. */
  note(subscription: Marked, mark: number): void
  drop(subscription: Marked): void
  /** Writes what is not written. */
  close(): Promise<void>
}

export interface MarksOptions {
  /** The data folder. */
  readonly dir: string
  readonly clock: Clock
  readonly journal: { readonly id: string }
  /** Told once where lines could not be read. */
  readonly warn: (message: string) => void
}

interface Row {
  readonly seq: number
  readonly mark: number
}

const PAUSE_MS = 200
/** How long a mark that nobody waits for may wait. */
const LAZY_MS = 2_000
const LINE = /^([\w-]+) (\d{1,16}) (\d{1,16}) ([0-9a-f]{16})$/

export function marksIn({ dir, clock, journal, warn }: MarksOptions): Marks {
  const folder = join(dir, 'marks')
  const path = join(folder, 'subscriptions')
  const rows = new Map<string, Row>()
  let waiters: { resolve(): void; reject(failure: Failure): void }[] = []
  let dirty = false
  let writing: Promise<void> | undefined
  /** While it runs, nothing is written. */
  let pause: Timer | undefined
  /** When it runs out, what nobody waits for is to be written. */
  let lazy: Timer | undefined
  let overdue = false

  const check = (name: string, { seq, mark }: Row): string =>
    createHash('sha256').update(`${journal.id} ${name} ${seq} ${mark}`).digest('hex').slice(0, 16)

  async function read(): Promise<void> {
    const text = await readFile(path, 'latin1').catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') warn(`${path} cannot be read (${error.message}), ${AGAIN}`)
      return ''
    })
    const lines = text.split('\n').filter(line => line !== '')
    for (const line of lines) {
      const [, name = '', seq, mark, sum] = LINE.exec(line) ?? []
      const row = { seq: Number(seq), mark: Number(mark) }
      if (check(name, row) === sum) rows.set(name, row)
    }
    const lost = lines.length - rows.size
    if (lost > 0)
      warn(`${path}: ${lost} of ${lines.length} lines are damaged or of another journal, ${AGAIN}`)
  }

  async function put(): Promise<void> {
    const lines = [...rows].map(([name, row]) => `${name} ${row.seq} ${row.mark} ${check(name, row)}\n`)
    await mkdir(folder, { recursive: true })
    await replaceFile(path, [lines.join('')])
  }

  async function write(): Promise<void> {
    lazy?.cancel()
    lazy = undefined
    overdue = false
    const told = waiters
    waiters = []
    dirty = false
    try {
      await put()
      for (const { resolve } of told) resolve()
    } catch (cause) {
      dirty = true // with the next one
      const why = (cause as Error).message
      const failure = new Failure(
        'marks.disk',
        `${path} cannot be written: ${why}. Make room on that disk.`,
        {
          retryable: true,
          cause,
        },
      )
      for (const { reject } of told) reject(failure)
    }
  }

  /** Starts a write, or has the one that comes when the pause is over take care of it. */
  function begin(): void {
    if (writing !== undefined || pause !== undefined) return
    writing = write().finally(() => {
      writing = undefined
      pause = clock.after(PAUSE_MS, () => {
        pause = undefined
        if (waiters.length > 0 || overdue) begin()
      })
    })
  }

  function beginSoon(): void {
    lazy ??= clock.after(LAZY_MS, () => {
      overdue = true
      begin()
    })
  }

  function set({ name, seq }: Marked, mark: number): void {
    const row = rows.get(name)
    if (row?.seq === seq && row.mark === mark) return
    rows.set(name, { seq, mark })
    dirty = true
  }

  return {
    open: read,
    of({ name, seq }) {
      const row = rows.get(name)
      return row?.seq === seq ? row.mark : undefined
    },
    async move(subscription, mark) {
      set(subscription, mark)
      if (!dirty && writing === undefined) return
      const { promise, resolve, reject } = Promise.withResolvers<void>()
      waiters.push({ resolve, reject })
      begin()
      return promise
    },
    note(subscription, mark) {
      set(subscription, mark)
      if (dirty) beginSoon()
    },
    drop({ name, seq }) {
      if (rows.get(name)?.seq !== seq) return
      rows.delete(name)
      dirty = true
      beginSoon()
    },
    async close() {
      await writing
      pause?.cancel()
      lazy?.cancel()
      if (dirty || waiters.length > 0) await write()
    },
  }
}

const AGAIN =
  'so that subscriptions may begin again where they began: their readers see facts twice, and miss none'
