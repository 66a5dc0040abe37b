/** What a key does to what is seen, and to the house. Pure. */
import { chosenOf, PANELS, type Picture, type View } from './picture.ts'

export interface Pressed {
  readonly view: View
  /** What is to be done to a node, or that it is over. */
  readonly deed?: { readonly do: 'drain' | 'resume'; readonly node: string } | { readonly do: 'quit' }
}

/** `page`: how many rows a page has. Nothing is known of a house that has not answered yet. */
export function press(view: View, key: string, picture: Picture | undefined, page: number): Pressed {
  const act = Object.hasOwn(keys, key) ? keys[key]! : undefined
  if (act === undefined) return { view }
  const { message: _said, ...quiet } = view
  return act(quiet, picture, page)
}

type Act = (view: View, picture: Picture | undefined, page: number) => Pressed

const quit: Act = view => ({ view, deed: { do: 'quit' } })
const next: Act = view => ({ view: panelled(view, 1) })
const help: Act = view => ({ view: { ...view, help: !view.help } })
const back: Act = view => ({
  view: view.help ? { ...view, help: false } : { ...view, details: false, scroll: 0 },
})
const details: Act = (view, picture) => ({
  view: {
    ...view,
    help: false,
    scroll: 0,
    details: !view.details && view.panel === 'nodes' && (picture?.nodes.length ?? 0) > 0,
  },
})

/** By the names that node:readline has for them, and the letter where it has none. */
const keys: Readonly<Record<string, Act>> = {
  q: quit,
  'ctrl-c': quit,
  'ctrl-d': quit,
  up: moved(() => -1),
  k: moved(() => -1),
  down: moved(() => 1),
  j: moved(() => 1),
  pageup: moved(page => -page),
  'ctrl-b': moved(page => -page),
  pagedown: moved(page => page),
  'ctrl-f': moved(page => page),
  space: moved(page => page),
  home: moved(() => Number.NEGATIVE_INFINITY),
  g: moved(() => Number.NEGATIVE_INFINITY),
  end: moved(() => Number.POSITIVE_INFINITY),
  'shift-g': moved(() => Number.POSITIVE_INFINITY),
  d: toNode('drain'),
  r: toNode('resume'),
  return: details,
  enter: details,
  escape: back,
  backspace: back,
  tab: next,
  'shift-tab': view => ({ view: panelled(view, -1) }),
  '?': help,
  h: help,
}

function moved(by: (page: number) => number): Act {
  return (view, picture, page) => {
    const steps = by(page)
    if (view.details || view.help || view.panel !== 'nodes') {
      const to = Number.isFinite(steps) ? view.scroll + steps : steps < 0 ? 0 : Number.MAX_SAFE_INTEGER
      return { view: { ...view, scroll: Math.max(0, to) } }
    }
    const nodes = picture?.nodes ?? []
    if (picture === undefined || nodes.length === 0) return { view }
    const now = nodes.findIndex(({ name }) => name === chosenOf(picture, view)!.name)
    const then = Math.min(Math.max(now + steps, 0), nodes.length - 1)
    return { view: { ...view, chosen: nodes[then]!.name } }
  }
}

/** Where no node is to be seen, none is meant. */
function toNode(deed: 'drain' | 'resume'): Act {
  return (view, picture) => {
    const node = picture === undefined ? undefined : chosenOf(picture, view)
    if (node === undefined || view.panel !== 'nodes' || view.help) return { view }
    return { view: { ...view, chosen: node.name }, deed: { do: deed, node: node.name } }
  }
}

function panelled(view: View, step: 1 | -1): View {
  const at = PANELS.indexOf(view.panel) + step + PANELS.length
  return { ...view, panel: PANELS[at % PANELS.length]!, details: false, help: false, scroll: 0 }
}
