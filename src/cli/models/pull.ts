/**
 * `quipu models pull` and `cancel`. The pull is the house's: whoever watches may leave, and the house may be away for a
 * while. On a terminal there is a bar for each node, redrawn in place; on a pipe a line for each change of step.
 */
import { systemClock } from '../../clock.ts'
import { terminalOf } from '../../config.ts'
import { Failure } from '../../failure.ts'
import type { Pulled } from '../../gateway/schema/models.ts'
import type { Told } from '../../gateway/schema/words.ts'
import { barsOf } from '../bars.ts'
import type { Client } from '../client.ts'
import { interruption } from '../signals.ts'
import { fitted, plain, remark, say, sayJson } from '../terminal.ts'
import { type Given, misused, textOf, wholeOf } from '../verb.ts'
import { barLines, markOf, type TransferRow, wordsOf } from './bars.ts'

type Answer = Told<typeof Pulled>

const LOOK_MS = 500
/** After that, whoever watches hears that there is nobody to watch. */
const AWAY_MAX_MS = 15 * 60_000
const OVER: readonly string[] = ['completed', 'abandoned', 'cancelled']

export async function pull(client: Client, given: Given, model = ''): Promise<void> {
  const { switches } = given
  const nodes = nodesOf(given)
  const auto = wholeOf(given, 'auto', 1_000)
  if (auto === 0) throw misused('--auto: name at least one node, or leave it out')
  const all = switches.has('all')
  if ([nodes !== undefined, auto !== undefined, all].filter(Boolean).length > 1)
    throw misused('--nodes, --all and --auto are three ways to say where to; choose one')
  const body = { model, ...(nodes && { nodes }), ...(all && { all }), ...(auto && { auto }) }
  const answer = await client.ask<Answer>('/quipu/models/pull', { method: 'POST', body })
  const json = switches.has('json')
  if (switches.has('no-wait')) {
    if (json) return sayJson(answer)
    tellOrdered(answer)
    for (const { node } of answer.transfers) say(plain(`${node}: ordered`))
    return say(plain(hintOf(answer.model)))
  }
  const view: View = json ? lines(answer.model) : process.stdout.isTTY ? bars() : steps()
  if (!json) tellOrdered(answer)
  const failed = await watch(client, answer, view)
  if (failed > 0) process.exitCode = 1
}

export async function cancel(client: Client, given: Given, model = ''): Promise<void> {
  const nodes = nodesOf(given)
  const rows = await client.ask<readonly TransferRow[]>('/quipu/transfers', { query: { model } })
  const open = rows.filter(({ node, state }) => !OVER.includes(state) && (nodes?.includes(node) ?? true))
  if (open.length === 0) throw new Failure('transfer.unknown', `${model} is on its way to no such node`)
  const ended: TransferRow[] = []
  for (const { id } of open)
    ended.push(await client.ask(`/quipu/transfers/${encodeURIComponent(id)}`, { method: 'DELETE' }))
  if (given.switches.has('json')) return sayJson(ended)
  for (const row of ended) say(plain(`${row.node}: ${wordsOf(row)}`))
}

export function nodesOf(given: Given): string[] | undefined {
  const nodes = textOf(given, 'nodes')?.split(',').filter(Boolean)
  if (nodes?.length === 0) throw misused('--nodes: name at least one')
  return nodes
}

function hintOf(model: string): string {
  return `see: quipu models status ${model}; call it off: quipu models cancel ${model}`
}

function tellOrdered({ model, already, excluded, transfers }: Answer): void {
  for (const node of already) say(plain(`${node}: has it already`))
  for (const { node, why } of excluded) say(plain(`${node}: left out, ${why}`))
  if (transfers.length === 0 && already.length === 0) say(plain(`${model} goes nowhere`))
}

/** What is shown of the transfers, again and again. */
interface View {
  show(rows: readonly TransferRow[]): void
  /** The house does not answer; or does again. */
  away(why: string | undefined): void
  close(): void
}

/** Resolves, with how many went wrong, when all are over or somebody presses Ctrl-C. */
async function watch(client: Client, { model, transfers }: Answer, view: View): Promise<number> {
  const left = interruption()
  let rows = transfers
  let awaySince: number | undefined
  try {
    view.show(rows)
    while (rows.some(({ state }) => !OVER.includes(state))) {
      await pause(LOOK_MS, left)
      if (left.aborted) {
        view.close()
        remark(plain(`quipu: the pull goes on; ${hintOf(model)}`))
        return 0
      }
      try {
        rows = latest(rows, await client.ask('/quipu/transfers', { query: { model } }))
        if (awaySince !== undefined) view.away(undefined)
        awaySince = undefined
      } catch (error) {
        if (!(error instanceof Failure && error.retryable)) throw error
        const now = systemClock.monotonic()
        if (awaySince === undefined) view.away(error.message)
        awaySince ??= now
        if (now - awaySince > AWAY_MAX_MS) throw error
      }
      view.show(rows)
    }
    return rows.filter(({ state }) => state !== 'completed').length
  } finally {
    view.close()
  }
}

/** The same transfers as they stand now: by where to, and not an older one. */
export function latest(rows: readonly TransferRow[], now: readonly TransferRow[]): readonly TransferRow[] {
  return rows.map(row => now.find(({ id, orderedAt }) => id === row.id && orderedAt >= row.orderedAt) ?? row)
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    const timer = setTimeout(resolve, ms)
    signal.addEventListener('abort', () => {
      clearTimeout(timer)
      resolve()
    })
  })
}

/** One line a node, replaced in place. */
function bars(): View {
  const signs = barsOf(terminalOf())
  let drawn = 0
  let note: string | undefined
  const draw = (texts: readonly string[]): void => {
    const up = drawn > 0 ? `\u001b[${drawn}A` : ''
    process.stdout.write(`${up}${texts.map(line => `\r\u001b[K${fitted(line)}\n`).join('')}\u001b[J`)
    drawn = texts.length
  }
  return {
    show(rows) {
      // What has left the screen at the top cannot be drawn again.
      const room = (process.stdout.rows || 24) - 2
      draw([...barLines(rows, room, signs), ...(note === undefined ? [] : [note])])
    },
    away(why) {
      note = why === undefined ? undefined : 'the house is away, waiting'
    },
    close() {
      drawn = 0
    },
  }
}

/** A line for each change of step. */
function steps(): View {
  const told = new Map<string, string>()
  return {
    show(rows) {
      for (const row of rows) {
        const mark = markOf(row)
        if (told.get(row.id) === mark) continue
        told.set(row.id, mark)
        say(plain(`${row.node}: ${row.state === 'completed' ? 'done' : wordsOf(row)}`))
      }
    },
    away: why => remark(why === undefined ? 'quipu: the house is back' : 'quipu: the house is away, waiting'),
    close() {},
  }
}

/** For programs: each transfer whenever it is different, one JSON a line. */
function lines(model: string): View {
  const told = new Map<string, string>()
  return {
    show(rows) {
      for (const row of rows) {
        const text = JSON.stringify(row)
        if (told.get(row.id) === text) continue
        told.set(row.id, text)
        say(text)
      }
    },
    away: why => say(JSON.stringify({ model, house: why === undefined ? 'back' : 'away' })),
    close() {},
  }
}
