/** What a house answered, kept; test/cli/shapes.test.ts checks that a house would still say it so. */

const AT = Date.UTC(2026, 0, 31, 9, 5, 7, 250)
const DIGEST = '99d694e78ee7b0d3b2e1c0a5f4d3c2b1a09f8e7d6c5b4a392817060504030201'
const ID = '01M7YZH119Z62FQKEDVFCP11CT'

const closed = { state: 'closed', failures: 0, round: 0 }

export const nodes = [
  {
    name: 'gpu-a',
    url: 'http://10.0.0.5:11434',
    standing: 'up',
    simulated: false,
    origin: 'flag',
    version: '0.33.0',
    slots: 4,
    residentMax: 3,
    weight: 2,
    labels: { room: 'attic' },
    breaker: closed,
    running: 2,
    models: { present: 12, loading: 0, resident: 1 },
    resident: ['tiny:latest'],
    since: AT,
    seenAt: AT,
    answerMs: 3,
    misses: 0,
  },
  {
    name: 'gpu-b',
    url: 'http://10.0.0.6:11434',
    standing: 'down',
    simulated: false,
    origin: 'api',
    version: '',
    slots: 1,
    residentMax: 3,
    weight: 1,
    hours: 'mon-fri@18:00-08:00+sat-sun',
    labels: {},
    breaker: { state: 'open', failures: 3, round: 1, until: AT, reason: 'refused' },
    running: 0,
    models: { present: 0, loading: 0, resident: 0 },
    resident: [],
    since: AT,
    misses: 4,
    error: 'connect ECONNREFUSED 10.0.0.6:11434',
    loss: { reason: 'refused' },
  },
  {
    name: 'sim-1',
    url: 'http://127.0.0.1:40001',
    standing: 'draining',
    simulated: true,
    origin: 'embedded',
    version: '0.33.0',
    slots: 1,
    residentMax: 1,
    weight: 1,
    labels: { simulated: 'true' },
    breaker: { state: 'halfOpen', failures: 0, round: 2, reason: 'error' },
    running: 1,
    models: { present: 2, loading: 1, resident: 0 },
    resident: [],
    since: AT,
    seenAt: AT,
    answerMs: 1,
    misses: 0,
  },
]

export const nodeInFull = {
  ...nodes[0]!,
  replicas: [
    {
      model: 'tiny:latest',
      state: 'resident',
      since: AT,
      digest: DIGEST,
      sizeBytes: 4_406_642_652,
      memoryBytes: 5_000_000_000,
      vramBytes: 3_000_000_000,
      contextLength: 8192,
      loadFailures: 0,
      running: 2,
    },
  ],
}
export const nodeThatIsSilent = { ...nodes[1]!, standing: 'joining', replicas: [] }

const HOURS_AGO = Date.now() - 12_030_000

export const models = [
  {
    name: 'embed:latest',
    digest: `2da6a6364bbd${DIGEST.slice(12)}`,
    sizeBytes: 279_430_939,
    family: 'bert',
    parameterSize: '137M',
    quantization: 'F16',
    capabilities: ['embedding'],
    present: 1,
    loading: 1,
    resident: 0,
    running: 0,
    waiting: 3,
    nodes: [
      {
        node: 'sim-1',
        state: 'loading',
        since: HOURS_AGO,
        digest: `2da6a6364bbd${DIGEST.slice(12)}`,
        sizeBytes: 279_430_939,
        loadFailures: 0,
        running: 0,
      },
    ],
  },
  {
    name: 'tiny:latest',
    digest: DIGEST,
    sizeBytes: 4_406_642_652,
    family: 'qwen2',
    parameterSize: '7.2B',
    quantization: 'Q4_K_M',
    capabilities: ['completion', 'tools'],
    present: 2,
    loading: 0,
    resident: 1,
    running: 2,
    waiting: 0,
    nodes: [
      {
        node: 'gpu-a',
        state: 'resident',
        since: HOURS_AGO,
        digest: DIGEST,
        sizeBytes: 4_406_642_652,
        memoryBytes: 5_000_000_000,
        vramBytes: 3_000_000_000,
        contextLength: 8192,
        loadMs: 2100,
        runMs: 900,
        loadFailures: 0,
        running: 2,
      },
      {
        node: 'gpu-b',
        state: 'present',
        since: HOURS_AGO,
        digest: DIGEST,
        sizeBytes: 4_406_642_652,
        loadFailures: 0,
        running: 0,
      },
    ],
  },
]

export const policies = [
  {
    model: 'hf.co/ns/big:q4',
    nodes: ['gpu-a', 'gpu-z'],
    labels: { gpu: '4090', room: 'attic' },
    numCtxMax: 32_768,
    keepAliveMaxS: 5_400,
    replicasMin: 1,
    replicasMax: 3,
    setAt: AT,
    by: '10.0.0.9',
    warnings: ['nodes: no node is called gpu-z; see /quipu/nodes'],
  },
  { model: 'tiny:latest', prefer: ['gpu-a'], numCtx: 8_192, keepAliveS: -1, setAt: AT, warnings: [] },
]

export const queue = [
  {
    position: 1,
    line: 'tiny:latest',
    id: ID,
    model: 'embed:latest',
    path: '/api/embed',
    client: '10.0.0.9',
    class: 'interactive',
    priority: 9,
    admittedAt: AT,
    waitedMs: 1234,
    expiresAt: AT + 600_000,
    tokens: { promptTokens: 12, outputTokens: 200 },
    etaMs: 4_200,
    etaErrorMs: 900,
    tried: [],
    why: 'sim-1: loading it',
  },
  {
    position: 2,
    line: 'tiny:latest',
    id: ID.replace(/T$/, 'V'),
    model: 'embed:latest',
    path: '/api/embed',
    client: '10.0.0.9',
    class: 'interactive',
    priority: 5,
    admittedAt: AT,
    waitedMs: 83_000,
    expiresAt: AT + 600_000,
    tokens: { promptTokens: 12, outputTokens: 200 },
    etaMs: 4_200,
    etaErrorMs: 900,
    tried: ['gpu-b'],
    why: 'behind 1 other for embed:latest',
  },
]

const completed = {
  id: ID,
  state: 'completed',
  path: '/api/generate',
  model: 'tiny:latest',
  client: '127.0.0.1',
  priority: 5,
  bodyBytes: 52,
  admittedAt: AT,
  expiresAt: AT + 600_000,
  endedAt: AT + 1862,
  node: 'gpu-a',
  attempts: 2,
  waitedMs: 311,
  ttftMs: 858,
  runMs: 551,
  totalMs: 1862,
  status: 200,
  bytes: 612,
  chunks: 1,
  promptTokens: 8,
  outputTokens: 1032,
  doneReason: 'stop',
}

export const requests = [
  {
    id: ID.replace(/T$/, 'W'),
    state: 'queued',
    model: 'embed:latest',
    admittedAt: AT,
    attempts: 0,
    waitedMs: 40,
    totalMs: 40,
  },
  completed,
  {
    id: ID.replace(/T$/, 'X'),
    state: 'failed',
    path: '/api/chat',
    model: 'tiny:latest',
    client: '127.0.0.1',
    admittedAt: AT,
    endedAt: AT + 90_000,
    node: 'gpu-b',
    attempts: 3,
    waitedMs: 80_000,
    totalMs: 90_000,
    reason: 'refused',
  },
]

const hash = 'VH4QUCLu2JC1D0ygK8Tx3Y6-lpkoC26hVKtIw94T_wM'
export const jobs = [
  {
    id: ID.replace(/T$/, 'Y'),
    state: 'completed',
    path: '/api/chat',
    model: 'tiny:latest',
    client: 'lab',
    priority: 5,
    class: 'batch',
    bodyBytes: 70,
    admittedAt: AT,
    expiresAt: AT + 86_400_000,
    attempts: 2,
    node: 'gpu-a',
    endedAt: AT + 125_000,
    status: 200,
    bytes: 1_723,
    digest: DIGEST,
    promptTokens: 7,
    outputTokens: 1_020,
    callback: { state: 'waiting', attempts: 2, until: AT + 185_000, status: 503, reason: 'status' },
  },
  {
    id: ID.replace(/T$/, 'Z'),
    state: 'queued',
    path: '/api/generate',
    model: 'embed:latest',
    client: '127.0.0.1',
    priority: 9,
    class: 'interactive',
    bodyBytes: 70,
    admittedAt: AT,
    expiresAt: AT + 86_400_000,
    deadlineAt: AT + 3_600_000,
    attempts: 0,
    callback: { state: 'awaited', attempts: 0 },
  },
] as const

const entry = (seq: number, after: number, type: string, data: unknown, id = ID, by?: string) => ({
  seq,
  at: AT + after,
  kind: type.split('.')[0]!,
  id,
  type,
  v: 1,
  ...(by !== undefined && { by }),
  data,
  hash,
})

const gpuA = { node: 'gpu-a', resident: true, idle: 1, estimateMs: 0 }

export const facts = [
  entry(25, 0, 'request.admitted', {
    path: '/api/generate',
    model: 'tiny:latest',
    client: '127.0.0.1',
    priority: 5,
    bodyBytes: 52,
    expiresAt: AT + 600_000,
    attemptsMax: 3,
  }),
  entry(26, 1, 'request.assigned', { node: 'gpu-b', attempt: 1, candidates: [gpuA, gpuA] }),
  entry(27, 9, 'request.retried', { node: 'gpu-b', reason: 'refused' }),
  entry(28, 311, 'request.assigned', { node: 'gpu-a', attempt: 2, candidates: [gpuA, gpuA] }),
  entry(29, 858, 'request.begun', { node: 'gpu-a', status: 200, ttftMs: 858 }),
  entry(30, 1862, 'request.completed', null),
]

export const journal = [
  entry(
    23,
    -90_000,
    'node.registered',
    { url: 'http://10.0.0.5:11434', slots: 1, residentMax: 3, labels: { a: 'b c' }, origin: 'flag' },
    'gpu-a',
    'start',
  ),
  entry(24, -80_000, 'replica.found', { digest: DIGEST, sizeBytes: 1 }, 'tiny:latest@gpu-a'),
  ...facts,
]

export const request = { ...completed, facts }

export const why = {
  id: ID,
  model: 'tiny:latest',
  state: 'completed',
  sentence:
    'First ran on gpu-b because it had tiny:latest in memory and a free slot; there, the connection was refused. ' +
    'Then ran on gpu-a because it had tiny:latest in memory and a free slot; gpu-b was excluded: failed already. ' +
    'Answered 200 after 1.9 s (waited 0.3 s).',
  attempts: [
    {
      attempt: 1,
      node: 'gpu-b',
      at: AT + 1,
      waitedMs: 1,
      because: 'it had tiny:latest in memory and a free slot',
      candidates: [
        { ...gpuA, idle: 0, estimateMs: 450 },
        { ...gpuA, node: 'gpu-b' },
      ],
      outcome: { as: 'retried', at: AT + 9, reason: 'refused', runMs: 8 },
    },
    {
      attempt: 2,
      node: 'gpu-a',
      at: AT + 311,
      waitedMs: 302,
      because: 'it had tiny:latest in memory and a free slot',
      candidates: [
        gpuA,
        { node: 'gpu-b', resident: false, idle: 1, estimateMs: null, excluded: 'failed already' },
      ],
      outcome: { as: 'completed', at: AT + 1862, status: 200, runMs: 1551 },
    },
  ],
  loads: [],
  meanwhile: {
    items: [
      {
        seq: 22,
        at: AT - 200,
        type: 'replica.loaded',
        words: 'gpu-b had tiny:latest in memory, after 4.2 s',
      },
      {
        seq: 27,
        at: AT + 10,
        type: 'breaker.tripped',
        words: 'the breaker of gpu-b opened (refused), for 5.0 s',
      },
      { seq: 31, at: AT + 400, type: 'node.drained', words: 'gpu-c was to get nothing new', by: '10.0.0.9' },
    ],
    left: 3,
  },
}

const again = { policy: 'quipu', to: 'assign', nodes: ['gpu-b'], words: 'sent to gpu-b' }

export const hindsight = {
  id: ID,
  moments: [
    {
      as: 'admitted',
      at: AT,
      seq: 25,
      queue: {
        line: 'tiny:latest',
        waiting: 5,
        inLine: 4,
        ahead: 3,
        clients: [
          { client: '10.0.0.7', count: 2 },
          { client: '10.0.0.8', count: 1 },
        ],
        oldestMs: 4_200,
      },
      decided: { policy: 'quipu', to: 'wait', nodes: [], words: 'left waiting' },
      others: [
        {
          policy: 'least-connections',
          to: 'assign',
          nodes: ['gpu-a'],
          words: 'sent to gpu-a (1 under way there)',
        },
      ],
    },
    { as: 'assigned', at: AT + 1, seq: 26, node: 'gpu-b', decided: again, edges: [], others: [again] },
    {
      as: 'assigned',
      at: AT + 311,
      seq: 28,
      node: 'gpu-a',
      queue: { line: 'tiny:latest', waiting: 1, inLine: 1, ahead: 0, clients: [] },
      decided: again,
      edges: [{ over: 'gpu-c', by: 'load', words: 'it had less to do for its weight' }],
      others: [],
    },
  ],
}

export const waitingWhy = {
  id: ID,
  model: 'tiny:latest',
  state: 'queued',
  sentence: 'Has waited 0.3 s: gpu-a: busy.',
  attempts: [],
  loads: [],
  waits: { why: 'gpu-a: busy', candidates: [{ ...gpuA, idle: 0, estimateMs: 450 }] },
}

export const index = {
  name: 'quipu',
  version: '0.1.0',
  journal: { id: ID, head: 30, hash, durable: 30, writable: true },
  disk: { used: 70_000_000, standing: 'fine' },
  nodes: { total: 3, up: 1 },
  requests: { waiting: 2, running: 3 },
  links: {},
}

const setting = (name: string, value: string, more: object = {}) => ({
  name,
  value,
  source: 'default',
  live: true,
  start: value,
  sentence: 'what it is',
  ...more,
})

export const settings = [
  setting('port', '11435', { source: 'flag', live: false }),
  setting('queue-max', '64', { source: 'set', start: '512' }),
  setting('wait-max', '10m', { ignored: 'a while' }),
]

const change = (seq: number, as: 'set' | 'reset', before: string, after: string) => ({
  seq,
  at: AT + seq,
  by: '127.0.0.1',
  name: 'queue-max',
  as,
  before,
  after,
})

export const settingChanges = [change(31, 'reset', '64', '512'), change(30, 'set', '512', '64')]

const ISO = new Date(AT).toISOString()

/** By name, as /quipu/stats has them. */
export const tables = {
  servers: [
    {
      address: 'http://10.0.0.5:11434',
      healthy: true,
      load: 2,
      last_check: ISO,
      first_seen: ISO,
      hardware_info: null,
    },
    {
      address: 'http://10.0.0.6:11434',
      healthy: false,
      load: 0,
      last_check: null,
      first_seen: ISO,
      hardware_info: null,
    },
  ],
  models: [
    {
      name: 'tiny:latest',
      servers: ['http://10.0.0.5:11434', 'http://10.0.0.6:11434'],
      size_gb: 4.407,
      parameter_count: 7_200_000_000,
      quantization: 'Q4_K_M',
      first_seen: ISO,
      last_used: null,
      usage_count: 12,
    },
  ],
  server_stats: [
    { server: 'http://10.0.0.5:11434', timestamp: ISO, type: 'load', value: 1.333 },
    { server: 'http://10.0.0.5:11434', timestamp: ISO, type: 'latency', value: 12 },
  ],
  request_stats: [
    {
      period: 'day',
      start: '2026-01-31T00:00:00.000Z',
      total: 40,
      generate: 12,
      chat: 20,
      embedding: 8,
      completed: 39,
      average_latency: 812.5,
      p50: 701.12,
      p95: 2_301.55,
      p99: 9_120.01,
      tokens: 12_345,
      prompt_tokens: 2_345,
      output_tokens: 10_000,
      simulated: 12,
    },
  ],
  inference_queue: [
    {
      id: ID,
      model: 'tiny:latest',
      status: 'queued',
      priority: 5,
      created_at: ISO,
      started_at: null,
      completed_at: null,
      server_assigned: null,
      batch_id: null,
    },
  ],
  config: [{ setting: 'queue-max', who: '127.0.0.1', when: ISO, before: '512', after: '64' }],
}

/** Kafka went away a while ago. */
export const mirror = {
  state: 'waiting',
  since: AT,
  topic: 'quipu.journal',
  brokers: ['kafka-a:9092', 'kafka-b:9092'],
  journal: '01M7YZH119Z62FQKEDVFCP11CT',
  durable: 12_345,
  partition: 0,
  mirrored: 12_000,
  lagFacts: 345,
  lagMs: 125_000,
  sent: 11_000,
  opened: 7,
  trouble: {
    code: 'mirror.unreachable',
    message: 'Kafka cannot be reached: a broker does not answer',
    at: AT,
    tries: 6,
  },
  warnings: [
    'quipu.journal forgets (retention.ms=604800000): from what it has lost, no journal can be restored',
  ],
}

const moment = { at: AT, seq: 1_290, factAt: AT - 1_880, from: 1_000 }

export const state = {
  moment,
  nodes: [
    {
      name: 'gpu-a',
      url: 'http://10.0.0.5:11434',
      standing: 'draining',
      simulated: false,
      version: '0.33.0',
      slots: 4,
      residentMax: 3,
      weight: 2,
      labels: { room: 'attic' },
      breaker: 'closed',
      running: 2,
      resident: ['tiny:latest'],
      loading: ['big:70b'],
      since: AT - 90_000,
    },
    {
      name: 'gpu-b',
      url: 'http://10.0.0.6:11434',
      standing: 'down',
      simulated: true,
      version: '',
      slots: 1,
      residentMax: 3,
      weight: 1,
      labels: {},
      breaker: 'open',
      running: 0,
      resident: [],
      loading: [],
      since: AT - 3_000,
      loss: { reason: 'refused' },
    },
  ],
  models: [
    {
      name: 'tiny:latest',
      digest: DIGEST,
      sizeBytes: 4_700_000_000,
      waiting: 1,
      running: 2,
      nodes: [
        { node: 'gpu-a', state: 'resident', since: AT - 5_000, variant: 'num_ctx=8192', running: 2 },
        { node: 'gpu-b', state: 'present', since: AT - 9_000, running: 0 },
      ],
    },
  ],
  queue: {
    waiting: 1,
    running: 1,
    requests: [
      {
        id: ID,
        state: 'answering',
        model: 'tiny:latest',
        client: '10.0.0.7',
        class: 'interactive',
        priority: 5,
        job: false,
        admittedAt: AT - 12_000,
        node: 'gpu-a',
        assignedAt: AT - 11_500,
      },
      {
        id: '01M7YZH119Z62FQKEDVFCP11CU',
        state: 'queued',
        model: 'tiny:latest',
        client: '10.0.0.8',
        class: 'batch',
        priority: 2,
        job: true,
        admittedAt: AT - 4_000,
        position: 1,
      },
    ],
  },
  policies: [
    {
      model: 'tiny:latest',
      policy: { avoid: ['gpu-b'], numCtxMax: 8_192, labels: { room: 'attic' } },
      setAt: AT - 86_400_000,
      by: 'cli',
    },
  ],
  settings: [{ name: 'queue-max', value: '64', setAt: AT - 3_600_000, by: '10.0.0.9' }],
}

export const diff = {
  from: { at: AT - 600_000, seq: 1_104, factAt: AT - 601_000, from: 1_000 },
  to: moment,
  facts: 186,
  changes: [
    {
      kind: 'node',
      id: 'gpu-a',
      as: 'different',
      properties: [
        { name: 'standing', before: 'up', after: 'draining' },
        { name: 'hours', before: '', after: 'sat-sun' },
      ],
      last: { seq: 1_244, at: AT - 88_000, type: 'node.emptied' },
      asked: { seq: 1_240, at: AT - 90_000, type: 'node.drained', by: '10.0.0.9' },
    },
    {
      kind: 'replica',
      id: 'tiny:latest@gpu-b',
      as: 'new',
      properties: [{ name: 'state', before: '', after: 'present' }],
      last: { seq: 1_250, at: AT - 9_000, type: 'replica.found' },
    },
    { kind: 'model', id: 'big:70b', as: 'gone', properties: [{ name: 'digest', before: 'd', after: '' }] },
  ],
  requests: { admitted: 44, completed: 41, failed: 2, expired: 0, abandoned: 1, cancelled: 0 },
  queue: { waiting: { before: 2, after: 14 }, running: { before: 3, after: 3 } },
}

export { ID }

export const subscriptions = [
  {
    name: 'billing',
    state: 'active',
    since: AT,
    createdAt: AT,
    by: '127.0.0.1',
    after: 0,
    filter: { type: 'request.completed' },
    mark: 4_711,
    lag: 12_345,
    leases: 1,
  },
  {
    name: 'mirror',
    state: 'active',
    since: AT,
    createdAt: AT,
    by: '127.0.0.1',
    after: 4_000,
    filter: {},
    mark: 4_800,
    lag: 7,
    leases: 0,
    webhook: {
      origin: 'https://mirror.example',
      signed: false,
      format: 'ndjson',
      batchMax: 1_000,
      lingerMs: 5_000,
      failuresMax: 20,
    },
    failing: { failures: 2, reason: 'timeout', until: AT },
  },
  {
    name: 'pager',
    state: 'parked',
    since: AT,
    reason: 'status',
    failures: 20,
    status: 503,
    createdAt: AT,
    by: '127.0.0.1',
    after: 17,
    filter: { kind: 'node,breaker' },
    mark: 4_343,
    lag: 380,
    leases: 0,
    webhook: {
      origin: 'https://hooks.example',
      signed: true,
      format: 'json',
      batchMax: 100,
      lingerMs: 1_000,
      failuresMax: 20,
    },
  },
]

export const transfers = [
  {
    id: 'llama3.2:latest@gpu-a',
    model: 'llama3.2:latest',
    node: 'gpu-a',
    state: 'running',
    cause: 'asked',
    by: '127.0.0.1',
    attempt: 1,
    orderedAt: 1_769_850_000_000,
    since: 1_769_850_001_000,
    progress: {
      step: 'pulling dde5aa3fc5ff',
      bytes: 1_050_000_000,
      totalBytes: 2_020_000_000,
      bytesPerS: 38_000_000,
      leftMs: 25_526,
      at: 1_769_850_030_000,
    },
  },
  {
    id: 'llama3.2:latest@gpu-b',
    model: 'llama3.2:latest',
    node: 'gpu-b',
    state: 'waiting',
    cause: 'asked',
    by: '127.0.0.1',
    attempt: 1,
    orderedAt: 1_769_850_000_000,
    since: 1_769_850_000_000,
    waits: '1 download at a time, it is next',
  },
  {
    id: 'llama3.2:latest@gpu-c',
    model: 'llama3.2:latest',
    node: 'gpu-c',
    state: 'abandoned',
    cause: 'asked',
    by: '127.0.0.1',
    attempt: 1,
    orderedAt: 1_769_850_000_000,
    since: 1_769_850_020_000,
    trouble: 'full',
    reason: 'write /root/.ollama/models/blobs/sha256-dd-partial: no space left on device',
  },
] as const

export const pulled = {
  model: 'llama3.2:latest',
  transfers: transfers.slice(0, 2),
  already: ['desk'],
  excluded: [{ node: 'nas', why: 'its policy avoids it' }],
} as const

export const removed = {
  model: 'llama3.2:latest',
  removed: ['gpu-a'],
  failed: [{ node: 'gpu-b', why: 'it is not up' }],
} as const

export const standings = [
  {
    model: 'llama3.2:latest',
    policy: { avoid: ['nas'] },
    wanted: { min: 2, max: 3 },
    copies: [
      {
        node: 'desk',
        state: 'resident',
        standing: 'up',
        digest: 'a80c4f17acd55265feec403c7aef86be0c25983ab279d83f3bcd3abbcb5b8b72',
        sizeBytes: 2_019_393_189,
      },
      {
        node: 'gpu-z',
        state: 'present',
        standing: 'down',
        digest: 'a80c4f17acd55265feec403c7aef86be0c25983ab279d83f3bcd3abbcb5b8b72',
        sizeBytes: 2_019_393_189,
      },
    ],
    missing: 1,
    surplus: 0,
    transfers: transfers.slice(0, 1),
    findings: ['gpu-z is down, and has one of its copies'],
    plan: ['pull it to gpu-b: gpu-z has been down for 3 minutes'],
  },
] as const

export const synced = {
  dryRun: true,
  actions: [
    { do: 'pull', model: 'llama3.2:latest', node: 'gpu-b', reason: '1 copy of 2 is there' },
    { do: 'remove', model: 'mistral:latest', node: 'gpu-a', reason: '3 copies, 2 at most' },
  ],
  unmet: [{ model: 'qwen3:32b', reason: 'no node has the room' }],
} as const

export const optimized = {
  applied: false,
  proposals: [
    {
      do: 'add',
      model: 'llama3.2:latest',
      node: 'gpu-b',
      reason: 'who asked for it waited 4.0 s on average within the last day',
      benefitMs: 930_000,
      bytes: 2_019_393_189,
    },
  ],
} as const
