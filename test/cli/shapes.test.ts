/** The answers the other tests of the command line live on are ones that a house gives. */
import t from 'tap'
import {
  Entry,
  Index,
  Models,
  misfits,
  NodeInFull,
  Nodes,
  Queue,
  RequestInFull,
  Requests,
  type TSchema,
  Why,
} from '../../src/gateway/schema.ts'
import * as recorded from './recorded.ts'

const kept: readonly (readonly [string, TSchema, unknown])[] = [
  ['nodes', Nodes, recorded.nodes],
  ['a node', NodeInFull, recorded.nodeInFull],
  ['a silent node', NodeInFull, recorded.nodeThatIsSilent],
  ['models', Models, recorded.models],
  ['the queue', Queue, recorded.queue],
  ['requests', Requests, recorded.requests],
  ['a request', RequestInFull, recorded.request],
  ['why', Why, recorded.why],
  ['why not yet', Why, recorded.waitingWhy],
  ['the index', Index, recorded.index],
  ...recorded.journal.map(entry => [`fact ${entry.seq}`, Entry, entry] as const),
]

for (const [name, schema, value] of kept) {
  t.same(misfits(schema, value), [], `${name} has the shape that a house gives`)
}
