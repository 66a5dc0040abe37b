/**
 * Agents on hard networks: behind NAT, on lines that swallow or lose, beside processes that stand still. QUIPU_NETWORKS=1
 * tries them, in network namespaces, which takes root on Linux; minutes.
 */
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { APART, missing } from './places.ts'

const TRIALS = fileURLToPath(new URL('./trials.ts', import.meta.url))

const why = process.env.QUIPU_NETWORKS === '1' ? missing() : 'QUIPU_NETWORKS=1 tries them; minutes'
t.setTimeout(900_000)

if (why !== undefined) t.test('agents on hard networks', { skip: why }, async () => {})
else
  t.spawn('unshare', [...APART, process.execPath, TRIALS], {
    name: 'agents on hard networks',
    timeout: 900_000,
  })
