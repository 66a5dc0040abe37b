/** Frames of `quipu top`, on screens as people have them. */
import t from 'tap'
import { ASCII, UNICODE } from '../../../src/cli/bars.ts'
import { frame, type Size, sheet } from '../../../src/cli/top/frame.ts'
import { FIRST_VIEW, type Picture, type View } from '../../../src/cli/top/picture.ts'
import { paint } from '../../../src/cli/top/screen.ts'
import { widthOf } from '../../../src/cli/top/span.ts'
import { AT, busy, calm, heard } from './pictures.ts'

process.env.TZ = 'UTC'

const SIZES: readonly Size[] = [
  { columns: 80, rows: 24 },
  { columns: 120, rows: 40 },
  { columns: 40, rows: 10 },
]

const VIEWS: Readonly<Record<string, Partial<View>>> = {
  nodes: { chosen: 'desk' },
  queue: { panel: 'queue' },
  models: { panel: 'models' },
  details: { chosen: 'gpu-a', details: true },
  help: { help: true },
  silence: { silent: { since: AT - 5_000, why: 'no house answers at http://127.0.0.1:11435' } },
  message: { message: { text: 'desk gets nothing new; 1 request still runs there', bad: false } },
}

const drawn = (picture: Picture | undefined, view: Partial<View>, size: Size, bars = UNICODE): string =>
  paint(frame(picture, { ...FIRST_VIEW, ...view }, size, bars), false).join('\n')

for (const size of SIZES) {
  for (const [name, view] of Object.entries(VIEWS)) {
    t.test(`${name} at ${size.columns} by ${size.rows}`, async t => {
      t.matchSnapshot(drawn({ ...busy, heard }, view, size))
    })
  }
}

t.test('without agents there are no gauges, and an older house is not told to be idle', async t => {
  const text = drawn(calm, {}, { columns: 80, rows: 24 })
  t.matchSnapshot(text)
  t.notMatch(text, /GPU|RAM|TEMP/)
  t.match(text, /\? a minute/)
})

t.test('what is not known is a question mark, and never nothing', async t => {
  const lines = drawn(busy, {}, { columns: 120, rows: 40 }).split('\n')
  const line = (name: string): string => lines.find(line => line.includes(name))!
  t.match(line('closet'), /closet +up +none +none +░+ +\? +none +0 *$/, 'that there is no GPU is known')
  t.match(line('plain-ollama'), /half open +░+ +\? +░+ +\? +░+ +\? +\? +0 *$/)
})

t.test('before the house has ever answered, there is a frame all the same', async t => {
  const text = drawn(undefined, VIEWS.silence!, { columns: 80, rows: 24 })
  t.equal(text.split('\n').length, 24)
  t.match(text, /^quipu top\nThe house does not answer, since \d\d:\d\d:\d\d: no house answers/)
})

t.test('an empty house says what to do', async t => {
  t.match(drawn({ ...calm, nodes: [] }, {}, SIZES[0]!), 'quipu nodes add http://HOST:11434')
})

t.test('every frame fits, whatever the screen: lines, and letters of each', async t => {
  for (let columns = 1; columns < 140; columns += columns < 20 ? 1 : 7) {
    for (const rows of [1, 2, 3, 4, 5, 6, 8, 13, 24, 60]) {
      for (const [name, view] of Object.entries(VIEWS)) {
        for (const bars of [UNICODE, ASCII]) {
          const lines = frame({ ...busy, heard }, { ...FIRST_VIEW, ...view }, { columns, rows }, bars)
          const widest = Math.max(...lines.map(widthOf))
          if (lines.length !== rows || widest > columns)
            t.fail(`${name} at ${columns} by ${rows}: ${widest} by ${lines.length}`)
        }
      }
    }
  }
})

t.test('names of others move no cursor, and on an ASCII terminal nothing but ASCII is written', async t => {
  for (const view of Object.values(VIEWS)) {
    const lines = drawn({ ...busy, heard }, view, { columns: 120, rows: 40 }, ASCII)
    t.match(lines, /^[\x20-\x7e\n]*$/)
    const wide = drawn({ ...busy, heard }, view, { columns: 120, rows: 40 })
    // biome-ignore lint/suspicious/noControlCharactersInRegex: that there are none is the point
    t.notMatch(wide, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f日本]/)
  }
  t.match(drawn(busy, {}, { columns: 120, rows: 40 }), 'кухня-??')
})

t.test('the chosen node is always on the screen', async t => {
  for (const rows of [4, 6, 10, 24]) {
    for (const { name } of busy.nodes.slice(0, 3)) {
      const text = drawn(busy, { chosen: name }, { columns: 80, rows })
      t.match(text, new RegExp(`▶ ${name}`), `${name} of ${rows} rows`)
    }
  }
})

t.test('a thousand nodes are drawn', async t => {
  const nodes = Array.from({ length: 1_000 }, (_, i) => ({ ...busy.nodes[0]!, name: `node-${i}` }))
  const replicas = nodes.map(({ name }) => ({ ...busy.models[2]!.nodes[0]!, node: name }))
  const models = Array.from({ length: 50 }, (_, i) => ({
    ...busy.models[2]!,
    name: `m-${i}`,
    nodes: replicas,
  }))
  const began = performance.now()
  const text = drawn({ ...busy, nodes, models }, { chosen: 'node-999' }, { columns: 80, rows: 24 })
  t.match(text, /▶ node-999/)
  t.ok(performance.now() - began < 5_000)
})

t.test('the sheet for paper has all nodes, and no end', async t => {
  const text = paint(sheet(busy, 100, UNICODE), false).join('\n')
  t.matchSnapshot(text)
  t.notMatch(text, '▶')
})
