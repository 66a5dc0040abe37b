/** `npm run bench [-- ROW …]`: runs the benchmarks, all or those that are named, and prints their figures. */
import { loadavg } from 'node:os'
import type { Row } from './row.ts'

const benches: Readonly<Record<string, () => Promise<readonly Row[]>>> = {
  journal: async () => (await import('./journal.ts')).journalBench(),
  engine: async () => (await import('./engine.ts')).engineBench(),
  audit: async () => (await import('./audit.ts')).auditBench(),
  start: async () => (await import('./start.ts')).startBench(),
  schedule: async () => (await import('./schedule.ts')).scheduleBench(),
  plan: async () => (await import('./plan.ts')).planBench(),
  relay: async () => (await import('./relay.ts')).relayBench(),
  spool: async () => (await import('./spool.ts')).spoolBench(),
  subscriptions: async () => (await import('./subscriptions.ts')).subscriptionsBench(),
  subscribe: async () => (await import('./subscribe.ts')).subscribeBench(),
  embedding: async () => (await import('./embedding.ts')).embeddingBench(),
  agents: async () => (await import('./agents.ts')).agentsBench(),
  mirror: async () => (await import('./mirror.ts')).mirrorBench(),
  agent: async () => (await import('./agent.ts')).agentBench(),
  hardware: async () => (await import('./hardware.ts')).hardwareBench(),
}

const asked = process.argv.slice(2)
const unknown = asked.filter(name => !(name in benches))
if (unknown.length > 0) {
  console.error(`no benchmark is called ${unknown.join(', ')}; there are: ${Object.keys(benches).join(', ')}`)
  process.exit(2)
}
console.log(
  `Node ${process.version}, load ${loadavg()
    .map(n => n.toFixed(1))
    .join(' ')} before`,
)
for (const name of asked.length > 0 ? asked : Object.keys(benches)) {
  console.log(`\n${name}`)
  for (const { name: title, value, unit, note } of await benches[name]!()) {
    const figure = value >= 100 ? Math.round(value).toLocaleString('en') : value.toFixed(2)
    console.log(`  ${title.padEnd(62)} ${figure.padStart(10)} ${unit.padEnd(8)} ${note ?? ''}`)
  }
}
console.log(
  `\nload ${loadavg()
    .map(n => n.toFixed(1))
    .join(' ')} after`,
)
process.exit()
