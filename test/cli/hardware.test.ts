/** A machine as people read of it. */
import t from 'tap'
import { ASCII, barOf, UNICODE } from '../../src/cli/bars.ts'
import { gpusOf, hardwareLines, percent, usedOf } from '../../src/cli/hardware.ts'
import { AT, heard, mute } from './top/pictures.ts'

const told = (lines: ReturnType<typeof hardwareLines>): string =>
  lines.map(([name, held]) => `${name.padEnd(11)}${held}`).join('\n')

t.test('whatever an agent leaves out is unknown', async t => {
  const lines = hardwareLines(mute, AT, ASCII)
  t.notMatch(told(lines), /NaN|undefined|\b0 %/)
  for (const [name, held] of lines.slice(2)) t.match(held, /unknown|\?/, name)
})

t.test('a part alone is shown alone', async t => {
  const { status } = heard
  const { equipment, load, ...rest } = status!
  const without = hardwareLines({ ...heard, status: { ...rest, equipment: equipment! } }, AT, UNICODE)
  t.match(told(without), /GPU 0 {6}░+ {3}\? .*RTX 4090/)
  const loaded = hardwareLines({ ...heard, status: { ...rest, load: load! } }, AT, UNICODE)
  t.match(told(loaded), /disk {7}500 GB free/)
  t.match(told(loaded), /GPU {8}unknown/)
})

t.test('a machine without a GPU has none; one that was not searched may have some', async t => {
  const equipment = { gpus: [], container: false }
  const line = (gpusKnown: boolean): string =>
    told(hardwareLines({ ...mute, status: { at: AT, equipment: { ...equipment, gpusKnown } } }, AT, ASCII))
  t.match(line(true), /\nGPU {8}none\n/)
  t.match(line(false), /\nGPU {8}unknown\n/)
})

t.test('an agent that is silent is said to be, with how long it is slow already', async t => {
  const throttled = { cause: 'heat', since: AT - 90_000 } as const
  const lines = hardwareLines({ agent: 'silent', sentence: 'not heard for 3 m', throttled }, AT, ASCII)
  t.same(lines, [
    ['agent', 'not heard for 3 m'],
    ['throttled', 'heat, for 1 m 30 s'],
  ])
})

t.test('GPUs of one kind are counted', async t => {
  t.equal(gpusOf(undefined), 'unknown')
  t.equal(gpusOf([]), 'none')
  t.equal(gpusOf(['RTX 4090']), 'RTX 4090')
  t.equal(gpusOf(['RTX 4090', 'A2', 'RTX 4090']), '2 × RTX 4090, A2')
})

t.test('a bar shows a mark for a little, and a gap for almost all', async t => {
  const bar = (part: number): string => barOf(part, 4, ASCII)
  t.same([0, 0.01, 0.5, 0.99, 1, 7, -1].map(bar), ['....', '#...', '##..', '###.', '####', '####', '....'])
  t.same([0, 0.002, 0.5, 1, 1.2].map(percent), ['0 %', '<1 %', '50 %', '100 %', '100 %'])
  t.same(
    [usedOf(10, 5), usedOf(undefined, 5), usedOf(10, undefined), usedOf(0, 0)],
    [0.5, undefined, undefined, undefined],
  )
})
