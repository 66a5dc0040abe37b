/** The answers the other tests of the command line live on are ones that a house gives. */
import t from 'tap'
import {
  ConfigTable,
  Diff,
  Entry,
  Hindsight,
  Index,
  InferenceQueueTable,
  Jobs,
  Mirror,
  Models,
  ModelsTable,
  misfits,
  NodeInFull,
  Nodes,
  Policies,
  Queue,
  RequestInFull,
  RequestStatsTable,
  Requests,
  ServerStatsTable,
  ServersTable,
  SettingChanges,
  Settings,
  State,
  Subscriptions,
  type TSchema,
  Why,
} from '../../src/gateway/schema.ts'
import * as recorded from './recorded.ts'

const kept: readonly (readonly [string, TSchema, unknown])[] = [
  ['nodes', Nodes, recorded.nodes],
  ['a node', NodeInFull, recorded.nodeInFull],
  ['a silent node', NodeInFull, recorded.nodeThatIsSilent],
  ['models', Models, recorded.models],
  ['policies', Policies, recorded.policies],
  ['the queue', Queue, recorded.queue],
  ['jobs', Jobs, recorded.jobs],
  ['requests', Requests, recorded.requests],
  ['a request', RequestInFull, recorded.request],
  ['why', Why, recorded.why],
  ['hindsight', Hindsight, recorded.hindsight],
  ['why not yet', Why, recorded.waitingWhy],
  ['subscriptions', Subscriptions, recorded.subscriptions],
  ['the past', State, recorded.state],
  ['a difference', Diff, recorded.diff],
  ['the index', Index, recorded.index],
  ['the mirror', Mirror, recorded.mirror],
  ['settings', Settings, recorded.settings],
  ['changes of settings', SettingChanges, recorded.settingChanges],
  ['the table of servers', ServersTable, recorded.tables.servers],
  ['the table of models', ModelsTable, recorded.tables.models],
  ['samples', ServerStatsTable, recorded.tables.server_stats],
  ['requests by day', RequestStatsTable, recorded.tables.request_stats],
  ['requests of a day', InferenceQueueTable, recorded.tables.inference_queue],
  ['the table of settings', ConfigTable, recorded.tables.config],
  ...recorded.journal.map(entry => [`fact ${entry.seq}`, Entry, entry] as const),
]

for (const [name, schema, value] of kept) {
  t.same(misfits(schema, value), [], `${name} has the shape that a house gives`)
}
