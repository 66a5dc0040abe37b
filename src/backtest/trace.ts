/** Who asked when, and how much: the requests a simulation is fed with, and the CSV files they come from. */
import type { RequestClass } from '../../machines/request.ts'
import { Failure } from '../failure.ts'

/** One request as it was recorded or invented. What a trace does not say is drawn from a mix (mix.ts). */
export interface Asked {
  /** Milliseconds since the epoch. */
  readonly at: number
  readonly promptTokens: number
  readonly outputTokens: number
  readonly model?: string
  readonly client?: string
  /** 0 to 9. */
  readonly priority?: number
  readonly class?: RequestClass
  /** Only nodes with these labels will do. A balancer does not mind. */
  readonly labels?: Readonly<Record<string, string>>
  /** How long it waits before it leaves; Infinity waits for ever. */
  readonly patienceMs?: number
}

/** One request of a simulation. */
export type Arrival = Required<Omit<Asked, 'class' | 'labels'>> &
  Pick<Asked, 'class' | 'labels'> & { readonly id: string }

const COLUMNS = {
  TIMESTAMP:
    'when the request came: 2026-01-31 09:05:07.25 or ISO 8601 (UTC unless it says otherwise), or seconds',
  ContextTokens: 'tokens of its prompt',
  GeneratedTokens: 'tokens of its answer',
} as const
const FURTHER = ['Model', 'Client', 'Priority'] as const

/** Reads the lines of a trace, in order of time. Throws a Failure `trace.unreadable` that names the line. */
export function readTrace(csv: string): readonly Asked[] {
  const lines = csv.split(/\r?\n/)
  const heading = (lines[0] ?? '')
    .replace(/^\ufeff/, '')
    .split(',')
    .map(cell => cell.trim())
  for (const [name, meaning] of Object.entries(COLUMNS)) {
    if (!heading.includes(name)) throw unreadable(1, `there is no column ${name} (${meaning})`)
  }
  const column = (cells: readonly string[], name: string): string =>
    cells[heading.indexOf(name)]?.trim() ?? ''
  const asked: Asked[] = []
  for (const [i, line] of lines.entries()) {
    if (i === 0 || line.trim() === '') continue
    const cells = line.split(',')
    const [model, client, priority] = FURTHER.map(name => column(cells, name))
    asked.push({
      at: timeIn(column(cells, 'TIMESTAMP'), i + 1),
      promptTokens: wholeIn(column(cells, 'ContextTokens'), i + 1, 'ContextTokens'),
      outputTokens: wholeIn(column(cells, 'GeneratedTokens'), i + 1, 'GeneratedTokens'),
      ...(model && { model }),
      ...(client && { client }),
      ...(priority && { priority: Math.min(9, wholeIn(priority, i + 1, 'Priority')) }),
    })
  }
  if (asked.length === 0) throw unreadable(2, 'there is no request in it')
  return asked.sort((a, b) => a.at - b.at)
}

function timeIn(text: string, line: number): number {
  if (/^\d+(\.\d+)?$/.test(text)) return Number(text) * 1_000
  const zoned = /(?:Z|[+-]\d\d:?\d\d)$/.test(text) ? text : `${text}Z`
  // The fourth decimal of a second and what follows it is no part of a Date.
  const at = Date.parse(zoned.replace(' ', 'T').replace(/(\.\d{3})\d+/, '$1'))
  if (Number.isNaN(at)) throw unreadable(line, `"${text}" is no time such as 2026-01-31 09:05:07.25`)
  return at
}

function wholeIn(text: string, line: number, column: string): number {
  if (!/^\d{1,9}$/.test(text)) throw unreadable(line, `${column}: "${text}" is not a whole number`)
  return Number(text)
}

function unreadable(line: number, why: string): Failure {
  return new Failure('trace.unreadable', `line ${line} of the trace: ${why}`)
}
