/** Nodes: how one is registered, and how it stands. */
import Type from 'typebox'
import { at, figure, maybe, text, texts, whole, word, yes } from './words.ts'

// ── what comes in ──────────────────────────────────────────────────────────────────────────────────────────────

export const NodeName = Type.Object({ name: text('name of the node') })

export const labelNames = { pattern: '^[A-Za-z0-9][A-Za-z0-9_./-]{0,62}$' }

export const NewNode = Type.Object(
  {
    url: Type.String({ minLength: 1, maxLength: 2_048, description: 'where its Ollama answers' }),
    name: maybe(Type.String({ minLength: 1, maxLength: 63, description: 'by default made from the URL' })),
    slots: maybe(Type.Integer({ minimum: 1, maximum: 1_024, description: 'requests at once per model; 1' })),
    residentMax: maybe(
      Type.Integer({ minimum: 1, maximum: 1_024, description: 'models in memory at once; 3' }),
    ),
    weight: maybe(
      Type.Number({
        exclusiveMinimum: 0,
        maximum: 100,
        description: 'how much of the work it should get beside a node of weight 1; 1',
      }),
    ),
    hours: maybe(
      Type.String({
        minLength: 1,
        maxLength: 256,
        description:
          'when it is wanted, in local time: 18:00-08:00, mon-fri@18:00-08:00, sat-sun, with + between several; ' +
          'at other times only if nobody else can. Always, without them',
      }),
    ),
    labels: maybe(
      Type.Record(Type.String(labelNames), Type.String({ maxLength: 256 }), {
        maxProperties: 64,
        additionalProperties: false,
        description: 'what people want to remember of it',
      }),
    ),
  },
  { additionalProperties: false },
)

/** Which nodes, where a door is about something else. */
export const nodeNames = (description: string) =>
  maybe(
    Type.Array(Type.String({ minLength: 1, maxLength: 63 }), {
      minItems: 1,
      maxItems: 1_000,
      uniqueItems: true,
      description,
    }),
  )

// ── what goes out ──────────────────────────────────────────────────────────────────────────────────────────────

const Standing = word(['up', 'down', 'joining', 'draining', 'drained'], 'up: may be given work')
const BreakerState = word(['closed', 'open', 'halfOpen'], 'closed: work may pass')

export const share = (description: string) => figure(`busy, 0 to 1: ${description}`)

export const Throttled = Type.Object(
  {
    cause: word(['heat', 'power', 'gpu', 'cpu', 'memory'], 'what slows it down'),
    since: at('since when'),
  },
  { description: 'left out while nothing slows it down for longer than a moment' },
)

const nodeShape = {
  name: text('what it is called'),
  url: text('where its Ollama answers'),
  standing: Standing,
  simulated: yes('no real models: a simulation'),
  origin: word(['flag', 'api', 'found', 'embedded', 'agent'], 'where the house knows it from'),
  version: text("its Ollama's; empty until it has answered"),
  slots: whole('requests at once per model'),
  residentMax: whole('models in memory at once'),
  weight: figure('how much of the work it should get beside a node of weight 1'),
  hours: maybe(text('when it is wanted, in local time; left out where that is always')),
  labels: Type.Record(Type.String(), Type.String(), { description: 'as registered' }),
  breaker: Type.Object({
    state: BreakerState,
    failures: whole('in a row'),
    round: whole('how often it opened since it last healed'),
    until: maybe(at('while open: when it may be tried again')),
    reason: maybe(text('why it opened')),
  }),
  running: whole('requests on it now'),
  models: Type.Object({
    present: whole('on its disk'),
    loading: whole('on their way into its memory'),
    resident: whole('in its memory'),
  }),
  resident: texts('names of the models in its memory'),
  since: at('since when it stands so'),
  seenAt: maybe(at('when it last answered')),
  answerMs: maybe(whole('how long that took')),
  misses: whole('looks in a row without an answer'),
  error: maybe(text('what the last look met')),
  loss: maybe(
    Type.Object({
      reason: word(['silence', 'refused', 'error', 'wedged'], 'why it counts as down'),
      model: maybe(text('the model it did not answer for')),
    }),
  ),
  throttled: maybe(Throttled),
  hardware: maybe(
    Type.Object(
      {
        cpu: maybe(share('of all cores')),
        memoryBytes: maybe(whole('of the machine')),
        memoryFreeBytes: maybe(whole('of it that can be had')),
        diskFreeBytes: maybe(whole('on the volume of the models')),
        gpus: maybe(texts('of each GPU, its model')),
        vramBytes: maybe(whole('memory of the GPUs that tell both, together')),
        vramUsedBytes: maybe(whole('of that in use')),
        gpu: maybe(share('mean of its GPUs')),
        temperatureC: maybe(figure('of the hottest GPU, °C')),
        powerW: maybe(figure('what the GPUs draw, watts')),
        ageMs: whole('how long ago its agent was heard'),
      },
      { description: 'what its agent says; left out where none is heard' },
    ),
  ),
}

export const replicaShape = {
  state: word(['present', 'loading', 'resident'], 'on disk, on its way into memory, in memory'),
  since: at('since when'),
  digest: text('of the manifest there'),
  sizeBytes: whole('on disk'),
  memoryBytes: maybe(whole('in memory, all of it')),
  vramBytes: maybe(whole('in memory, on GPUs')),
  contextLength: maybe(whole('as loaded')),
  loadMs: maybe(whole('what a load of it takes there, as learned')),
  runMs: maybe(whole('what a request of it takes there, as learned')),
  loadFailures: whole('loads in a row that failed'),
  running: whole('requests of it there now'),
}

export const Node = Type.Object(nodeShape)
export const Nodes = Type.Array(Node)
export const replicasHere = Type.Array(Type.Object({ model: text('name of the model'), ...replicaShape }))

export const Equipment = Type.Object(
  {
    os: maybe(
      Type.Object({
        platform: text('linux, darwin, win32'),
        name: text('as people call it'),
        arch: text('x64, arm64'),
      }),
    ),
    cpu: maybe(Type.Object({ model: text('as it says'), cores: maybe(whole('logical ones')) })),
    memoryBytes: maybe(whole('of the machine')),
    gpus: Type.Array(
      Type.Object({
        vendor: text('nvidia, amd, apple, intel'),
        model: text('as it says'),
        memoryBytes: maybe(whole('of its own, or what it may use of the memory it shares')),
        unified: maybe(yes("it shares the machine's memory")),
      }),
    ),
    gpusKnown: yes('all that there may be were looked for'),
    disk: maybe(
      Type.Object({
        fileSystem: text('of the volume that the models are on'),
        type: maybe(text('ssd, hdd, network')),
        sizeBytes: maybe(whole('of it')),
      }),
    ),
    container: yes('the agent runs in one, and sees what that may use'),
  },
  { description: 'what machine it is, as its agent said; left out where none did' },
)

export const NodeInFull = Type.Object({
  ...nodeShape,
  equipment: maybe(Equipment),
  replicas: replicasHere,
})

export const NodeGone = Type.Object({
  name: text('what it was called'),
  standing: word(['removed'], 'gone'),
  returns: maybe(yes('its agent is attached still, and brings it back when it attaches the next time')),
})
