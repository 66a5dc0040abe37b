/** What keys do. */
import t from 'tap'
import { press } from '../../../src/cli/top/keys.ts'
import { FIRST_VIEW, type View } from '../../../src/cli/top/picture.ts'
import { busy } from './pictures.ts'

const names = busy.nodes.map(({ name }) => name)

function typed(...keys: readonly string[]): View {
  return keys.reduce((view, key) => press(view, key, busy, 3).view, FIRST_VIEW)
}

t.test('arrows and letters choose a node, and stop at the ends', async t => {
  t.equal(typed('down').chosen, names[1])
  t.equal(typed('j', 'j', 'k').chosen, names[1])
  t.equal(typed('up', 'up').chosen, names[0])
  t.equal(typed('pagedown', 'space').chosen, names[6])
  t.equal(typed('shift-g').chosen, names.at(-1))
  t.equal(typed('end', 'j', 'home').chosen, names[0])
})

t.test(
  'what was chosen stays chosen when rows come and go, and the first is meant when it is gone',
  async t => {
    const view = typed('j', 'j')
    const fewer = { ...busy, nodes: busy.nodes.slice(1) }
    t.equal(press(view, 'j', fewer, 3).view.chosen, names[3])
    const without = { ...busy, nodes: busy.nodes.slice(3) }
    t.same(press(view, 'd', without, 3).deed, { do: 'drain', node: names[3] })
  },
)

t.test('d and r are for the chosen node, where nodes are to be seen', async t => {
  t.same(press(FIRST_VIEW, 'd', busy, 3).deed, { do: 'drain', node: names[0] })
  t.same(press(typed('j'), 'r', busy, 3).deed, { do: 'resume', node: names[1] })
  t.same(press(typed('enter'), 'd', busy, 3).deed, { do: 'drain', node: names[0] })
  t.equal(press(typed('tab'), 'd', busy, 3).deed, undefined)
  t.equal(press(typed('?'), 'd', busy, 3).deed, undefined)
  t.equal(press(FIRST_VIEW, 'd', undefined, 3).deed, undefined)
  t.equal(press(FIRST_VIEW, 'd', { ...busy, nodes: [] }, 3).deed, undefined)
})

t.test('tab goes round, enter opens and closes, escape goes back', async t => {
  t.equal(typed('tab').panel, 'queue')
  t.equal(typed('tab', 'tab', 'tab').panel, 'nodes')
  t.equal(typed('shift-tab').panel, 'models')
  t.equal(typed('return').details, true)
  t.equal(typed('return', 'return').details, false)
  t.equal(typed('tab', 'return').details, false)
  t.match(typed('return', '?', 'escape'), { details: true, help: false })
  t.match(typed('return', '?', 'escape', 'escape'), { details: false, help: false })
  t.match(typed('return', 'tab'), { details: false, panel: 'queue' })
})

t.test('elsewhere arrows scroll, and never above the first line', async t => {
  t.equal(typed('tab', 'j', 'j', 'k').scroll, 1)
  t.equal(typed('return', 'up').scroll, 0)
  t.equal(typed('tab', 'end').scroll, Number.MAX_SAFE_INTEGER)
  t.equal(typed('tab', 'end', 'home').scroll, 0)
  t.equal(typed('tab', 'j', 'tab').scroll, 0)
})

t.test('q and Ctrl-C end it from everywhere; other keys do nothing at all', async t => {
  for (const key of ['q', 'ctrl-c', 'ctrl-d']) {
    for (const view of [FIRST_VIEW, typed('?'), typed('enter'), typed('tab')])
      t.same(press(view, key, busy, 3).deed, { do: 'quit' })
  }
  const view = { ...FIRST_VIEW, message: { text: 'said', bad: false } }
  t.equal(press(view, 'x', busy, 3).view, view)
  t.equal(press(view, 'constructor', busy, 3).view, view)
  t.equal(press(view, 'j', busy, 3).view.message, undefined, 'a key takes back what was said')
})
