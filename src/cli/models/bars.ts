/** How far a model has come on each node, a line a node. Pure. */
import type { Transfer } from '../../gateway/schema/models.ts'
import type { Told } from '../../gateway/schema/words.ts'
import { barOf, UNICODE } from '../bars.ts'
import { durationOf, sizeOf } from '../quantities.ts'
import { plain } from '../terminal.ts'

export type TransferRow = Told<typeof Transfer>

const BAR = 24
const NAME_MAX = 24

/** `gpu-a   ██████░░░░░░  52 %  2.1 GB of 4.0 GB  38 MB/s  50 s left`, or what it waits for, or how it ended. */
export function barLine(row: TransferRow, nameWidth: number, bars = UNICODE): string {
  const { state, progress, ms } = row
  const name = plain(row.node).slice(0, NAME_MAX).padEnd(Math.min(nameWidth, NAME_MAX))
  if (state === 'completed')
    return `${name}  ${barOf(1, BAR, bars)} 100 %  done${ms === undefined ? '' : ` in ${durationOf(ms)}`}`
  const part = progress?.totalBytes ? progress.bytes / progress.totalBytes : 0
  const bar = `${barOf(part, BAR, bars)} ${String(Math.floor(part * 100)).padStart(3)} %`
  return `${name}  ${bar}  ${wordsOf(row)}`
}

/** What there is to say of it, beside how much is there. */
export function wordsOf({ state, progress, waits, reason, trouble }: TransferRow): string {
  if (state === 'cancelled') return 'called off'
  if (state === 'abandoned') return `failed: ${plain(reason ?? trouble ?? 'it did not say why')}`
  if (state !== 'running') {
    const before = reason ?? trouble
    return `waiting: ${plain(waits ?? 'its turn')}${before === undefined ? '' : `, after: ${plain(before)}`}`
  }
  if (progress === undefined) return plain(waits ?? 'begins')
  const { bytes, totalBytes, bytesPerS, leftMs, step } = progress
  if (bytes === 0) return plain(step)
  const size = totalBytes === undefined ? sizeOf(bytes) : `${sizeOf(bytes)} of ${sizeOf(totalBytes)}`
  const rate = bytesPerS === undefined ? [] : [`${sizeOf(bytesPerS)}/s`]
  const left = leftMs === undefined ? [] : [`${durationOf(leftMs)} left`]
  // While bytes come, the step is the digest of a blob, and says nothing to anybody.
  const said = /^pulling [0-9a-f]{12}$/.test(step) ? [] : [plain(step)]
  return [size, ...rate, ...left, ...said].join('  ')
}

/** As many lines as there is room for: what moves or went wrong before what waits, and that before what is done. */
export function barLines(rows: readonly TransferRow[], max: number, bars = UNICODE): readonly string[] {
  const width = Math.max(...rows.map(({ node }) => node.length), 0)
  if (rows.length <= max) return rows.map(row => barLine(row, width, bars))
  const urgent = (row: TransferRow): number => FIRST.indexOf(row.state)
  const shown = [...rows].sort((a, b) => urgent(a) - urgent(b)).slice(0, Math.max(0, max - 1))
  const rest = rows.filter(row => !shown.includes(row))
  const counts = FIRST.flatMap(state => {
    const count = rest.filter(row => row.state === state).length
    return count === 0 ? [] : [`${count} ${state}`]
  })
  return [
    ...rows.filter(row => shown.includes(row)).map(row => barLine(row, width, bars)),
    `and ${rest.length} more: ${counts.join(', ')}`,
  ]
}

const FIRST: readonly TransferRow['state'][] = [
  'running',
  'abandoned',
  'resting',
  'waiting',
  'cancelled',
  'completed',
]

/** Where one line a change is all there is room for: what must be different for there to be another one. */
export function markOf({ state, progress, attempt }: TransferRow): string {
  const step = progress?.step ?? ''
  return `${state} ${attempt} ${/^pulling [0-9a-f]{12}$/.test(step) ? 'pulling' : step}`
}
