/** What every chart owes the reader: each state can be reached, and nothing in it acts on its own. */
import t from 'tap'
import type { AnyStateNode } from 'xstate'
import { entities } from '../../machines/index.ts'

for (const { kind, machine } of Object.values(entities)) {
  t.test(`every state of the ${kind} chart can be reached, and none acts`, async t => {
    const nodes: AnyStateNode[] = []
    const walk = (node: AnyStateNode): void => {
      nodes.push(node)
      for (const child of Object.values(node.states)) walk(child)
    }
    walk(machine.root)
    const edges: string[] = []
    const reached = new Set<AnyStateNode>()
    const reach = (node: AnyStateNode): void => {
      if (reached.has(node)) return
      reached.add(node)
      if (node.type === 'parallel') for (const child of Object.values(node.states)) reach(child)
      else if (node.type === 'compound') reach(node.initial.target[0]!)
      if (node.parent !== undefined) reach(node.parent)
      for (const [type, transitions] of node.transitions) {
        for (const { target, guard } of transitions) {
          t.equal(guard, undefined, `${type} has no guard`)
          for (const next of target ?? []) reach(next)
          edges.push(`${name(node)} ──${type}──▶ ${target?.map(name).join(', ') ?? 'itself'}`)
        }
      }
    }
    reach(machine.root)
    for (const node of nodes) {
      t.ok(reached.has(node), `${name(node)} can be reached`)
      t.same(
        [node.invoke, node.entry, node.exit, Object.keys(node.config.after ?? {}), node.always ?? []],
        [[], [], [], [], []],
      )
    }
    t.matchSnapshot(edges.join('\n'), 'chart')
  })
}

function name(node: AnyStateNode): string {
  return node.path.length === 0 ? node.key : node.path.join('.')
}
