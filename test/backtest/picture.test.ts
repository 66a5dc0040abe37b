import t from 'tap'
import { picture } from '../../src/backtest/picture.ts'
import { asked, fleet, played } from './stage.ts'

const three = fleet(
  '{ name: a, resident: 2 }, { name: "b", resident: 1, off: "09:01-09:02" }, { name: idle, models: [n] }',
  { models: 'm,n,o', load: 20 },
)
const requests = asked('1 m 0 30', '2 n 1 30', '3 o 2 30', '4 m 3 30', '5 n 70 40', '6 m 80 9')

async function draw(longestMs?: number): Promise<string> {
  const { run } = await played('round-robin', three, requests)
  const caption = { title: 'Ours & theirs', said: 'six <requests>', ...(longestMs && { longestMs }) }
  return picture(caption, three, [
    { name: 'round-robin', said: 'a', run },
    { name: 'again', said: 'b', run },
  ])
}

t.test('a picture stands alone: title, lanes, axis, legend, and a panel a policy', async t => {
  const svg = await draw()
  t.match(svg, /^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg" width="1280" height="\d+"/)
  t.match(svg, '<title>Ours &amp; theirs</title>')
  t.match(svg, 'six &lt;requests&gt;')
  for (const said of [
    'round-robin',
    'again',
    'waiting',
    'a',
    'b',
    'idle',
    'm',
    'n',
    'o',
    'loading',
    'away',
    '0',
    '2 min',
  ]) {
    t.match(svg, `>${said}</text>`, said)
  }
  t.notMatch(svg, /NaN|undefined|Infinity|href|<script|url\((?!#)/, 'and needs nothing from elsewhere')
})

t.test('every element that is opened is closed', async t => {
  const open: string[] = []
  for (const [, end, name, whole] of (await draw()).matchAll(/<(\/?)(\w+)[^<>]*?(\/?)>/g)) {
    if (whole === '/') continue
    if (end === '') open.push(name!)
    else t.equal(open.pop(), name)
  }
  t.same(open, [])
})

t.test('loads are hatched, work is in the colour of its model, and who was away is marked', async t => {
  const svg = await draw()
  t.match(svg, /<rect [^>]*fill="url\(#load0\)"/)
  t.match(svg, /<path d="M[^"]+" fill="#0072b2"/)
  t.match(svg, /<rect [^>]*height="38" fill="url\(#away\)"/)
})

t.test('a shorter span is drawn larger, and the same run always alike', async t => {
  t.equal(await draw(), await draw())
  const first = await draw(30_000)
  t.match(first, '>30 s</text>')
  t.notMatch(first, '>2 min</text>')
})
