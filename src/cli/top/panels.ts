/** What each panel of `quipu top` holds: lines without an end, of which the frame shows as many as there is room for. Pure. */
import { type Bars, barOf } from '../bars.ts'
import { type Gauges, hardwareLines, percent, usedOf } from '../hardware.ts'
import { countOf, durationOf, sizeOf } from '../quantities.ts'
import type { Tint } from '../terminal.ts'
import { type Column, columnLines } from './columns.ts'
import {
  chosenOf,
  type ModelRow,
  type NodeRow,
  type Picture,
  type ResidentRow,
  residents,
  type TransferRow,
  type View,
  type WaitingRow,
} from './picture.ts'
import { foreign, type Line, type Span, span } from './span.ts'

type Lines = readonly Line[]

// ── nodes ────────────────────────────────────────────────────────────────────────────────────────────────────────

interface Seen {
  readonly node: NodeRow
  readonly chosen: boolean
  readonly resident: readonly ResidentRow[]
}

export function nodeLines(
  picture: Picture,
  view: View,
  width: number,
  bars: Bars,
): readonly [Line, ...Line[]] {
  const chosen = chosenOf(picture, view)?.name
  const resident = residents(picture)
  const seen = picture.nodes.map(
    (node): Seen => ({
      node,
      chosen: node.name === chosen,
      resident: resident.get(node.name) ?? [],
    }),
  )
  // Without any agent there is nothing to measure, and the names of models get the room.
  const measured = picture.nodes.some(({ hardware }) => hardware !== undefined)
    ? gaugeColumns(width, bars)
    : []
  const columns: readonly Column<Seen>[] = [
    {
      name: '  NODE',
      least: 8,
      cell: ({ node, chosen }) =>
        span(`${chosen ? bars.chosen : ' '} ${foreign(node.name, bars)}`, chosen ? 'reverse' : undefined),
    },
    { name: 'STANDING', cell: standingOf },
    ...measured,
    { name: 'RUN', right: true, cell: ({ node: { running } }) => span(String(running)) },
    {
      name: 'IN MEMORY',
      least: 9,
      spare: 1,
      cell: ({ resident }) => span(resident.map(model => shortly(model, bars)).join(' ')),
    },
  ]
  return columnLines(seen, columns, width, bars)
}

/** One word for the worst of it; the details have the rest. */
function standingOf({ node: { standing, breaker, simulated, throttled } }: Seen): Span {
  if (standing === 'down') return span(standing, 'red')
  if (standing !== 'up') return span(standing, 'yellow')
  if (breaker.state === 'open') return span('OPEN', 'red')
  if (breaker.state === 'halfOpen') return span('half open', 'yellow')
  if (throttled !== undefined) return span('throttled', 'yellow')
  return simulated ? span('simulated', 'yellow') : span(standing, 'green')
}

/** `tiny*2`: two requests run on it; `tiny…` is on its way into memory. */
function shortly({ model, loading, running }: ResidentRow, bars: Bars): string {
  const name = foreign(model.replace(/:latest$/, ''), bars)
  return `${name}${loading ? bars.more : ''}${running > 0 ? `*${running}` : ''}`
}

function gaugeColumns(width: number, bars: Bars): readonly Column<Seen>[] {
  const roomy = width >= 110
  const bar = roomy ? 10 : width >= 76 ? 5 : 0
  const gauge = (part: number | undefined, bar: number, more = ''): Span => {
    const figure = part === undefined ? '?' : percent(part).replace(' ', '')
    const drawn =
      bar === 0 ? '' : part === undefined ? `${bars.empty.repeat(bar)} ` : `${barOf(part, bar, bars)} `
    return span(`${drawn}${figure.padStart(4)}${more}`, warnAt(part))
  }
  const amount = ({ vramBytes, vramUsedBytes }: Partial<Gauges> = {}): string =>
    vramBytes === undefined || vramUsedBytes === undefined
      ? ''
      : ` ${(vramUsedBytes / 1e9).toFixed(0)}/${sizeOf(vramBytes)}`
  return [
    {
      name: 'GPU MEM',
      cell: ({ node: { hardware } }) =>
        hardware?.gpus?.length === 0
          ? span('none', 'dim')
          : gauge(usedOf(hardware?.vramBytes, hardware?.vramUsedBytes), bar, roomy ? amount(hardware) : ''),
    },
    {
      name: 'GPU',
      spare: 4,
      cell: ({ node: { hardware } }) =>
        hardware?.gpus?.length === 0 ? span('none', 'dim') : gauge(hardware?.gpu, Math.min(bar, 6)),
    },
    {
      name: 'RAM',
      spare: 5,
      cell: ({ node: { hardware } }) => {
        const { memoryBytes: all, memoryFreeBytes: free } = hardware ?? {}
        const used = all === undefined || free === undefined ? undefined : all - free
        return gauge(usedOf(all, used), Math.min(bar, 6))
      },
    },
    {
      name: 'TEMP',
      right: true,
      spare: 3,
      cell: ({ node: { hardware } }) => {
        const { temperatureC } = hardware ?? {}
        if (hardware?.gpus?.length === 0) return span('none', 'dim')
        if (temperatureC === undefined) return span('?', 'dim')
        const tint = temperatureC >= HOT_C ? 'red' : undefined
        return span(`${Math.round(temperatureC)}${bars.degree.trim()}`, tint)
      },
    },
  ]
}

/** Most GPUs slow down a little above this. */
const HOT_C = 85

function warnAt(part: number | undefined): Tint | undefined {
  if (part === undefined) return 'dim'
  return part >= 0.95 ? 'red' : part >= 0.8 ? 'yellow' : undefined
}

// ── models on their way ──────────────────────────────────────────────────────────────────────────────────────────

export function transferLines(transfers: readonly TransferRow[], width: number, bars: Bars): Lines {
  if (transfers.length === 0) return []
  const size = width >= 76 ? 20 : 8
  const columns: readonly Column<TransferRow>[] = [
    { name: 'ON ITS WAY', least: 8, cell: ({ model }) => span(foreign(model, bars)) },
    { name: 'TO', least: 6, cell: ({ node }) => span(foreign(node, bars)) },
    {
      name: '',
      cell: ({ progress: { bytes, totalBytes } = NOWHERE, state }) => {
        const part = usedOf(totalBytes, bytes)
        if (part === undefined) return span(`${bars.empty.repeat(size)}     ?`, 'dim')
        const drawn = `${barOf(part, size, bars)} ${percent(part).padStart(5)}`
        return span(drawn, state === 'running' ? 'green' : undefined)
      },
    },
    {
      name: '',
      spare: 3,
      cell: ({ progress: { bytes, totalBytes } = NOWHERE }) =>
        span(totalBytes === undefined ? '' : `${sizeOf(bytes ?? 0)} of ${sizeOf(totalBytes)}`),
    },
    {
      name: '',
      spare: 2,
      cell: ({ progress }) =>
        span(progress?.leftMs === undefined ? '' : `${durationOf(progress.leftMs)} left`),
    },
    {
      name: '',
      least: 7,
      spare: 1,
      cell: ({ state, waits, progress }) => {
        const why = waits ?? progress?.step
        return span(foreign(why === undefined ? state : `${state}: ${why}`, bars))
      },
    },
  ]
  return columnLines(transfers, columns, width, bars)
}

/** A transfer that has not begun. */
const NOWHERE: Partial<NonNullable<TransferRow['progress']>> = {}

// ── those that wait ──────────────────────────────────────────────────────────────────────────────────────────────

interface Waited {
  readonly model: string
  readonly waiting: number
  readonly oldestWaitMs: number
  readonly etaMs?: number
}

/** A line for each model that somebody waits for, the longest wait first. */
export function lineLines({ counts, queue }: Picture, width: number, bars: Bars): Lines {
  const lines = counts.models
    .filter(({ waiting }) => waiting > 0)
    .map(({ model, waiting, oldestWaitMs }): Waited => {
      const etas = queue.flatMap(row => (row.model === model ? (row.etaMs ?? []) : []))
      return { model, waiting, oldestWaitMs, ...(etas.length > 0 && { etaMs: Math.min(...etas) }) }
    })
    .sort((a, b) => b.oldestWaitMs - a.oldestWaitMs || (a.model < b.model ? -1 : 1))
  if (lines.length === 0) return [[span('Nobody waits.', 'dim')]]
  return columnLines(
    lines,
    [
      { name: 'QUEUE', least: 10, cell: ({ model }) => span(foreign(model, bars)) },
      { name: 'WAITING', right: true, cell: ({ waiting }) => span(countOf(waiting)) },
      { name: 'OLDEST', right: true, cell: ({ oldestWaitMs }) => span(durationOf(oldestWaitMs)) },
      {
        name: 'NEXT IN',
        right: true,
        spare: 1,
        cell: ({ etaMs }) => span(etaMs === undefined ? '?' : durationOf(etaMs)),
      },
    ],
    width,
    bars,
  )
}

export function queueLines({ queue, counts }: Picture, width: number, bars: Bars): Lines {
  if (queue.length === 0) return [[span('Nobody waits.', 'dim')]]
  const columns: readonly Column<WaitingRow>[] = [
    { name: '#', right: true, cell: ({ position }) => span(String(position)) },
    { name: 'MODEL', least: 10, cell: ({ model }) => span(foreign(model, bars)) },
    { name: 'CLIENT', least: 8, spare: 3, cell: ({ client }) => span(foreign(client, bars)) },
    { name: 'CLASS', spare: 4, cell: row => span(row.class) },
    { name: 'WAITED', right: true, cell: ({ waitedMs }) => span(durationOf(waitedMs)) },
    {
      name: 'ETA',
      right: true,
      spare: 2,
      cell: ({ etaMs }) => span(etaMs === undefined ? '?' : durationOf(etaMs)),
    },
    { name: 'WHY', least: 10, spare: 1, cell: ({ why }) => span(foreign(why, bars)) },
  ]
  const lines = columnLines(queue, columns, width, bars)
  const others = counts.waiting - queue.length
  return others > 0 ? [...lines, [span(`and ${countOf(others, 'other')}`, 'dim')]] : lines
}

// ── models ───────────────────────────────────────────────────────────────────────────────────────────────────────

export function modelLines({ models }: Picture, width: number, bars: Bars): Lines {
  if (models.length === 0) return [[span('No node has a model.', 'dim')]]
  const columns: readonly Column<ModelRow>[] = [
    { name: 'MODEL', least: 10, cell: ({ name }) => span(foreign(name, bars)) },
    { name: 'SIZE', right: true, spare: 2, cell: ({ sizeBytes }) => span(sizeOf(sizeBytes)) },
    {
      name: 'IN MEMORY',
      right: true,
      cell: ({ resident, loading, present }) => span(`${resident + loading}/${present}`),
    },
    { name: 'RUN', right: true, cell: ({ running }) => span(String(running)) },
    { name: 'WAIT', right: true, cell: ({ waiting }) => span(String(waiting)) },
    {
      name: 'NODES',
      least: 8,
      spare: 1,
      cell: ({ nodes }) =>
        span(
          [...nodes]
            .sort((a, b) => Number(a.state === 'present') - Number(b.state === 'present'))
            .map(({ node, state }) => `${foreign(node, bars)}${state === 'present' ? '' : '*'}`)
            .join(' '),
        ),
    },
  ]
  return columnLines(models, columns, width, bars)
}

// ── all about one node, and help ─────────────────────────────────────────────────────────────────────────────────

export function detailLines(picture: Picture, view: View, width: number, bars: Bars): Lines {
  const node = chosenOf(picture, view)
  if (node === undefined) return [[span('There is no node.', 'dim')]]
  const { breaker, loss, error } = node
  const labels = Object.entries(node.labels).map(([key, value]) => `${key}=${value}`)
  const heard = picture.heard?.node === node.name ? picture.heard : undefined
  const known: readonly (readonly [string, string])[] = [
    ['URL', node.url],
    [
      'standing',
      `${node.standing}${loss === undefined ? '' : ` (${loss.reason})`}, for ${durationOf(Math.max(0, picture.at - node.since))}`,
    ],
    ['breaker', breaker.reason === undefined ? breaker.state : `${breaker.state} (${breaker.reason})`],
    ['version', node.version || 'unknown'],
    ['running', `${countOf(node.running, 'request')}, ${node.slots} a model at once`],
    ['labels', labels.join(' ') || 'none'],
    ...(error === undefined ? [] : [['last look', error] as const]),
    ...(heard === undefined ? [] : hardwareLines(heard, picture.at, bars)),
  ]
  const here = residents(picture).get(node.name) ?? []
  const models: Lines =
    here.length === 0
      ? [[span('No model is in its memory.', 'dim')]]
      : columnLines(
          here,
          [
            { name: 'IN MEMORY', least: 10, cell: ({ model }) => span(foreign(model, bars)) },
            {
              name: 'SIZE',
              right: true,
              cell: ({ memoryBytes }) => span(memoryBytes === undefined ? '?' : sizeOf(memoryBytes)),
            },
            {
              name: 'ON GPU',
              right: true,
              spare: 1,
              cell: ({ vramBytes }) => span(vramBytes === undefined ? '?' : sizeOf(vramBytes)),
            },
            { name: 'RUN', right: true, cell: ({ running }) => span(String(running)) },
            { name: '', spare: 2, cell: ({ loading }) => span(loading ? 'loading' : '') },
          ],
          width,
          bars,
        )
  return [
    [span(foreign(node.name, bars), 'bold'), span(node.simulated ? ' (simulated)' : '', 'yellow')],
    ...known.map(([name, held]): Line => [span(name.padEnd(LABEL), 'dim'), span(foreign(held, bars))]),
    [],
    ...models,
  ]
}

const LABEL = 11

export const HELP: Lines = (
  [
    ['up down  k j', 'choose a node, or scroll'],
    ['enter', 'all about the chosen node, and back'],
    ['d', 'drain it: what runs ends in peace, nothing new goes there'],
    ['r', 'resume it: it gets work again'],
    ['tab', 'the next of nodes, queue, models'],
    ['?', 'this, and back'],
    ['q  Ctrl-C', 'quit'],
    ['', ''],
    ['tiny*2', 'two requests run on it; :latest is left out'],
    ['?', 'nobody told; an agent beside that Ollama would'],
  ] as const
).map(([keys, does]): Line => [span(keys.padEnd(14), 'bold'), span(does)])
