/** The answers the other tests of the command line live on are ones that a house gives. */
import t from 'tap'
import { NodeStatus } from '../../src/gateway/schema/agents.ts'
import { misfits } from '../../src/gateway/schema/check.ts'
import { Index } from '../../src/gateway/schema/house.ts'
import { Jobs } from '../../src/gateway/schema/jobs.ts'
import { Entry, Mirror } from '../../src/gateway/schema/journal.ts'
import {
  ModelStandings,
  Models,
  Optimized,
  Pulled,
  Removed,
  Synced,
  Transfers,
} from '../../src/gateway/schema/models.ts'
import { NodeInFull, Nodes } from '../../src/gateway/schema/nodes.ts'
import { Diff, State } from '../../src/gateway/schema/past.ts'
import { Policies } from '../../src/gateway/schema/policies.ts'
import { Queue, QueueStats } from '../../src/gateway/schema/queue.ts'
import { RequestInFull, Requests } from '../../src/gateway/schema/requests.ts'
import { SettingChanges, Settings } from '../../src/gateway/schema/settings.ts'
import { Subscriptions } from '../../src/gateway/schema/subscriptions.ts'
import {
  ConfigTable,
  InferenceQueueTable,
  ModelsTable,
  RequestStatsTable,
  ServerStatsTable,
  ServersTable,
} from '../../src/gateway/schema/tables.ts'
import { Hindsight, Why } from '../../src/gateway/schema/why.ts'
import type { TSchema } from '../../src/gateway/schema/words.ts'
import * as recorded from './recorded.ts'
import { busy, heard, mute } from './top/pictures.ts'

const kept: readonly (readonly [string, TSchema, unknown])[] = [
  ['nodes', Nodes, recorded.nodes],
  ['a node', NodeInFull, recorded.nodeInFull],
  ['a silent node', NodeInFull, recorded.nodeThatIsSilent],
  ['nodes with agents', Nodes, busy.nodes],
  ['what an agent said', NodeStatus, heard],
  ['what little an agent said', NodeStatus, mute],
  ['models', Models, recorded.models],
  ['models of a busy house', Models, busy.models],
  ['figures of the queue', QueueStats, busy.counts],
  ['transfers of a busy house', Transfers, busy.transfers],
  ['transfers', Transfers, recorded.transfers],
  ['a pull', Pulled, recorded.pulled],
  ['a removal', Removed, recorded.removed],
  ['how models stand', ModelStandings, recorded.standings],
  ['a sync', Synced, recorded.synced],
  ['proposals', Optimized, recorded.optimized],
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
