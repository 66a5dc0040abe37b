/** Houses to look at: with agents that know much, little and nothing, with names that nobody should have given. */

import type { ModelRow, NodeRow, Picture, TransferRow, WaitingRow } from '../../../src/cli/top/picture.ts'
import type { NodeStatus } from '../../../src/gateway/schema/agents.ts'
import type { Told } from '../../../src/gateway/schema/words.ts'
import * as recorded from '../recorded.ts'

export const AT = Date.UTC(2026, 0, 31, 9, 6, 7, 250)

const [up, down] = recorded.nodes as unknown as readonly [NodeRow, NodeRow]
const closed = { state: 'closed', failures: 0, round: 0 } as const

const nodes: readonly NodeRow[] = [
  {
    ...up,
    url: 'agent://gpu-a',
    hardware: {
      gpus: ['NVIDIA GeForce RTX 4090', 'NVIDIA GeForce RTX 4090'],
      vramBytes: 51_500_000_000,
      vramUsedBytes: 38_600_000_000,
      gpu: 0.83,
      cpu: 0.21,
      memoryBytes: 128_000_000_000,
      memoryFreeBytes: 70_000_000_000,
      temperatureC: 71.4,
      ageMs: 1_200,
    },
  },
  {
    ...up,
    name: 'gpu-hot',
    url: 'agent://gpu-hot',
    hardware: {
      gpus: ['AMD Radeon PRO W7900'],
      vramBytes: 48_000_000_000,
      vramUsedBytes: 47_000_000_000,
      gpu: 1,
      memoryBytes: 64_000_000_000,
      memoryFreeBytes: 1_000_000_000,
      temperatureC: 96,
      ageMs: 900,
    },
    throttled: { cause: 'heat', since: AT - 90_000 },
    running: 1,
  },
  { ...up, name: 'closet', url: 'agent://closet', hardware: { gpus: [], ageMs: 3_000 }, running: 0 },
  { ...up, name: 'plain-ollama', running: 0, breaker: { ...closed, state: 'halfOpen', round: 1 } },
  { ...up, name: 'desk', standing: 'draining', running: 1 },
  { ...up, name: 'shaky', breaker: { ...closed, state: 'open', failures: 3, round: 1, reason: 'refused' } },
  { ...down, name: 'gone\u001b[2J' },
  { ...up, name: 'кухня-日本', running: 0, simulated: true },
]

const replica = (node: string, state: 'present' | 'loading' | 'resident', running = 0) => ({
  node,
  state,
  since: AT - 1_000,
  digest: 'd',
  sizeBytes: 4_700_000_000,
  loadFailures: 0,
  running,
  ...(state === 'resident' && { memoryBytes: 5_000_000_000, vramBytes: 5_000_000_000 }),
})

const model = (name: string, nodes: ModelRow['nodes'], waiting = 0): ModelRow => ({
  ...(recorded.models[1] as unknown as ModelRow),
  name,
  present: nodes.length,
  loading: nodes.filter(({ state }) => state === 'loading').length,
  resident: nodes.filter(({ state }) => state === 'resident').length,
  running: nodes.reduce((sum, { running }) => sum + running, 0),
  waiting,
  nodes,
})

const models: readonly ModelRow[] = [
  model('hf.co/unsloth/big-thinker-with-a-long-name:q4_K_M', [replica('gpu-hot', 'resident', 1)], 2),
  model('llama3.3:70b', [replica('gpu-a', 'loading'), replica('gpu-hot', 'present')], 31),
  model('tiny:latest', [
    replica('gpu-a', 'resident', 2),
    replica('desk', 'resident', 1),
    replica('closet', 'present'),
  ]),
]

const nothingOver = { completed: 0, failed: 0, expired: 0, abandoned: 0, cancelled: 0 }
const figures = { waiting: 0, waitingJobs: 0, oldestWaitMs: 0, running: 0, leased: 0, lastHour: nothingOver }

const waits = (id: string, name: string, waitedMs: number, etaMs?: number): WaitingRow => {
  const { etaMs: _eta, etaErrorMs: _error, ...row } = recorded.queue[0] as unknown as WaitingRow
  return {
    ...row,
    id,
    model: name,
    waitedMs,
    why: 'gpu-a: loading it',
    ...(etaMs !== undefined && { etaMs }),
  }
}

const transfer = (node: string, state: TransferRow['state']): TransferRow => ({
  id: `qwen3:32b@${node}`,
  model: 'qwen3:32b',
  node,
  state,
  cause: 'asked',
  attempt: 1,
  orderedAt: AT - 90_000,
  since: AT - 90_000,
})

export const busy: Picture = {
  at: AT,
  url: 'http://127.0.0.1:11435',
  house: {
    ...(recorded.index as unknown as Picture['house']),
    version: '0.4.0',
    nodes: { total: 8, up: 5 },
    requests: { waiting: 33, running: 4 },
  },
  nodes,
  models,
  counts: {
    ...figures,
    waiting: 33,
    perMinute: 127,
    models: [
      { model: models[0]!.name, ...figures, waiting: 2, oldestWaitMs: 800 },
      { model: 'llama3.3:70b', ...figures, waiting: 31, oldestWaitMs: 41_000 },
      { model: 'tiny:latest', ...figures, running: 3 },
    ],
  },
  queue: [
    waits('a', 'llama3.3:70b', 41_000, 12_400),
    waits('b', 'llama3.3:70b', 40_000, 19_000),
    waits('c', models[0]!.name, 800),
  ],
  transfers: [
    {
      ...transfer('gpu-a', 'running'),
      progress: {
        step: 'pulling 3291abe70f16',
        bytes: 9_100_000_000,
        totalBytes: 20_000_000_000,
        bytesPerS: 90_000_000,
        leftMs: 121_000,
        at: AT,
      },
    },
    { ...transfer('gpu-hot', 'waiting'), waits: 'for gpu-a' },
    transfer('desk', 'cancelled'),
  ],
}

/** No agents, nothing to do, an older house that counts nothing by the minute. */
export const calm: Picture = {
  ...busy,
  house: {
    ...busy.house,
    nodes: { total: 1, up: 1 },
    requests: { waiting: 0, running: 0 },
    journal: { ...busy.house.journal, writable: false },
    disk: { used: 10, budget: 10, standing: 'full' },
  },
  nodes: [{ ...up, running: 0 }],
  models: [models[2]!],
  counts: { ...figures, perMinute: undefined as unknown as number, models: [] },
  queue: [],
  transfers: [],
}

type Heard = Told<typeof NodeStatus>

export const heard: Heard = {
  node: 'gpu-a',
  version: '0.33.0',
  replicas: [],
  agent: 'up',
  sentence: 'attached',
  ageMs: 1_200,
  status: {
    at: AT - 1_200,
    identity: {
      node: 'gpu-a',
      agentVersion: '0.4.0',
      ollamaVersion: '0.33.0',
      ollamaUrl: 'http://127.0.0.1:11434',
      startedAt: AT - 7_200_000,
    },
    equipment: {
      os: { platform: 'linux', name: 'Debian GNU/Linux 13', kernel: '6.12.1', arch: 'x64' },
      cpu: { model: 'AMD Ryzen 9 7950X', cores: 4 },
      memoryBytes: 128_000_000_000,
      gpus: [
        {
          id: 'a',
          vendor: 'nvidia',
          model: 'RTX 4090',
          memoryBytes: 25_750_000_000,
          unified: false,
          driver: '580.1',
        },
        { id: 'b', vendor: 'nvidia', model: 'RTX\u001b[31m 4090', unified: false, driver: '' },
      ],
      gpusKnown: true,
      disk: { mount: '/var/lib/ollama', fileSystem: 'ext4', type: 'ssd', sizeBytes: 2_000_000_000_000 },
      container: false,
    },
    load: {
      uptimeS: 864_000,
      cores: [0, 0.2, 0.5, 1],
      cpu: 0.425,
      memoryFreeBytes: 70_000_000_000,
      swapTotalBytes: 0,
      swapUsedBytes: 0,
      gpus: [
        {
          id: 'a',
          utilisation: 0.002,
          memoryUsedBytes: 19_000_000_000,
          temperatureC: 71.4,
          powerW: 310.2,
          powerLimitW: 450,
          throttled: true,
        },
        { id: 'b' },
      ],
      diskFreeBytes: 500_000_000_000,
      receivedBytesPerS: 112_000_000,
      inFlight: 3,
    },
    limits: { numParallel: 4, keepAlive: '-1' },
  },
}

/** What an agent tells that may read nothing at all. */
export const mute: Heard = {
  node: 'closet',
  version: '',
  replicas: [],
  agent: 'up',
  sentence: 'attached',
  ageMs: 0,
  status: { at: AT },
}
