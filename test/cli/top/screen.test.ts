/** Bytes for a terminal: whatever stood there before, the frame stands there after. */
import t from 'tap'
import { UNICODE } from '../../../src/cli/bars.ts'
import { frame } from '../../../src/cli/top/frame.ts'
import { FIRST_VIEW, type View } from '../../../src/cli/top/picture.ts'
import { between, CLEAR, CLOSE, OPEN, type Painted, paint } from '../../../src/cli/top/screen.ts'
import { Emulator } from './emulator.ts'
import { busy, calm, heard } from './pictures.ts'

const VIEWS: readonly Partial<View>[] = [
  {},
  { chosen: 'desk' },
  { panel: 'queue' },
  { help: true },
  { panel: 'models' },
  { details: true },
  { silent: { since: 0, why: 'it is away' } },
]

t.test('frame after frame, the screen shows the last one', async t => {
  const terminal = new Emulator(80, 24)
  terminal.write('$ quipu top')
  terminal.write(OPEN)
  let shown: Painted = []
  for (const picture of [busy, calm, { ...busy, heard }]) {
    for (const view of VIEWS) {
      const lines = frame(picture, { ...FIRST_VIEW, ...view }, { columns: 80, rows: 24 }, UNICODE)
      const painted = paint(lines, true)
      terminal.write(between(shown, painted))
      shown = painted
      const told = paint(lines, false).map(line => line.trimEnd())
      t.equal(terminal.text, told.join('\n'))
    }
  }
  t.same(terminal.unknown, [])
  t.match(terminal, { alternate: true, cursor: false, wraps: false })
  terminal.write(CLOSE)
  t.match(terminal, { alternate: false, cursor: true, wraps: true })
  t.match(terminal.text, /^\$ quipu top\n/)
})

t.test('only lines that are different are written', async t => {
  t.equal(between(['a', 'b'], ['a', 'b']), '')
  t.equal(between(['a', 'b', 'c'], ['a', 'x', 'c']), '\u001b[2;1Hx\u001b[0m\u001b[K')
  t.equal(between(['a', 'b'], ['a']), '\u001b[2;1H\u001b[0m\u001b[K')
})

t.test('a screen of another size begins anew', async t => {
  const terminal = new Emulator(40, 10)
  terminal.write(`${OPEN}dirt`)
  const lines = frame(busy, FIRST_VIEW, { columns: 40, rows: 10 }, UNICODE)
  terminal.write(CLEAR + between([], paint(lines, true)))
  t.equal(
    terminal.text,
    paint(lines, false)
      .map(line => line.trimEnd())
      .join('\n'),
  )
})

t.test('without colours nothing but text and places is written', async t => {
  const bytes = between([], paint(frame(busy, FIRST_VIEW, { columns: 80, rows: 24 }, UNICODE), false))
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the language of terminals
  t.same([...new Set(bytes.match(/\u001b\[[\d;]*m/g))], ['\u001b[0m'])
})
