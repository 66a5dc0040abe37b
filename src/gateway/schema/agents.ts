/** Agents of nodes: who may come as one, and what they say of the machine and the Ollama they stand beside. */
import Type from 'typebox'
import { Equipment, replicasHere, share, Throttled } from './nodes.ts'
import { at, figure, maybe, text, whole, word, yes } from './words.ts'

// ── what comes in ──────────────────────────────────────────────────────────────────────────────────────────────

export const AgentName = Type.Object({ name: text('name of the node') })

export const NewAgent = Type.Object(
  {
    node: text('name of the node; it will stand in the certificate'),
    ttlMs: maybe(whole('how long the token lasts; an hour unless told')),
  },
  { additionalProperties: false },
)

export const Revocation = Type.Object(
  { reason: maybe(Type.String({ maxLength: 200, description: 'why; in the journal for ever' })) },
  { additionalProperties: false },
)

// ── what goes out ──────────────────────────────────────────────────────────────────────────────────────────────

export const AgentRow = Type.Object({
  node: text('name of the node'),
  state: word(
    ['invited', 'trusted', 'expired', 'revoked'],
    'trusted: it has a certificate; expired: that has ended, and it must be invited again',
  ),
  since: at('since when it is invited, trusted or revoked'),
  reason: maybe(text('why it was revoked')),
  certificate: maybe(
    Type.Object({
      serial: text('hexadecimal'),
      fingerprint: text('SHA-256, base64url'),
      until: at('when it ends'),
    }),
  ),
  invitation: maybe(
    Type.Object({ until: at('when the token ends'), expired: yes('it has ended, and was not used') }),
  ),
})
export const AgentsTable = Type.Array(AgentRow)

export const InvitedAgent = Type.Object({
  node: text('name of the node'),
  token: text('what its agent joins with, once; nobody is told it again'),
  until: at('when it ends'),
  house: text('where agents attach, as the house was told to listen'),
})

/** As messages of the agent's protocol have it; see proto/quipu/v1/agent.proto. */
const StatusHeard = Type.Object({
  at: whole("when it was read, milliseconds since the epoch by the node's clock"),
  identity: maybe(
    Type.Object({
      node: text('which node it says it is'),
      agentVersion: text('of the agent'),
      ollamaVersion: text('empty while its Ollama does not answer'),
      ollamaUrl: text('where the agent reaches it'),
      startedAt: whole("when the agent started, milliseconds since the epoch by the node's clock"),
    }),
  ),
  equipment: maybe(
    Type.Object({
      os: maybe(
        Type.Object({
          platform: text('linux, darwin, win32'),
          name: text('as people call it'),
          kernel: text('its version'),
          arch: text('x64, arm64'),
        }),
      ),
      cpu: maybe(Type.Object({ model: text('as it says'), cores: maybe(whole('logical ones')) })),
      memoryBytes: maybe(whole('of the machine')),
      gpus: Type.Array(
        Type.Object({
          id: text('stable while the machine runs'),
          vendor: text('nvidia, amd, apple, intel'),
          model: text('as it says'),
          memoryBytes: maybe(whole('of its own, or what it may use of the memory it shares')),
          unified: yes("it shares the machine's memory"),
          driver: text('its version'),
        }),
      ),
      gpusKnown: yes('all that there may be were looked for'),
      disk: maybe(
        Type.Object({
          mount: text('where the volume of the models is'),
          fileSystem: text('ext4, apfs, nfs'),
          type: maybe(text('ssd, hdd, network')),
          sizeBytes: maybe(whole('of it')),
        }),
      ),
      container: yes('the agent runs in one, and sees what that may use'),
    }),
  ),
  load: maybe(
    Type.Object({
      uptimeS: maybe(figure('seconds since the machine started')),
      cores: Type.Array(share('of each logical core')),
      cpu: maybe(share('of all cores')),
      memoryFreeBytes: maybe(whole('that can be had')),
      swapTotalBytes: maybe(whole('there is')),
      swapUsedBytes: maybe(whole('of that')),
      gpus: Type.Array(
        Type.Object({
          id: text('as in equipment'),
          utilisation: maybe(share('of it')),
          memoryUsedBytes: maybe(whole('of its memory')),
          temperatureC: maybe(figure('°C')),
          powerW: maybe(figure('what it draws, watts')),
          powerLimitW: maybe(figure('what it may draw, watts')),
          throttled: maybe(yes('the driver holds its clock back')),
        }),
      ),
      diskFreeBytes: maybe(whole('on the volume of the models')),
      receivedBytesPerS: maybe(figure('of all interfaces but loopback')),
      sentBytesPerS: maybe(figure('of all interfaces but loopback')),
      inFlight: whole('calls that the agent carries'),
    }),
  ),
  limits: maybe(
    Type.Object({
      numParallel: maybe(whole('OLLAMA_NUM_PARALLEL')),
      maxLoadedModels: maybe(whole('OLLAMA_MAX_LOADED_MODELS')),
      maxQueue: maybe(whole('OLLAMA_MAX_QUEUE')),
      keepAlive: maybe(text('OLLAMA_KEEP_ALIVE, as written')),
      contextLength: maybe(figure('OLLAMA_CONTEXT_LENGTH')),
    }),
  ),
  present: maybe(
    Type.Object({
      models: Type.Array(
        Type.Object({
          name: text('as its Ollama says'),
          digest: text('of the manifest'),
          sizeBytes: whole('on disk'),
          blobs: whole('files of it that the agent knows of; 0 where it may not look'),
          missing: whole('of these, the ones that are not there, or not whole'),
        }),
      ),
    }),
  ),
  resident: maybe(
    Type.Object({
      models: Type.Array(
        Type.Object({
          name: text('as its Ollama says'),
          sizeBytes: whole('in memory, all of it'),
          vramBytes: whole('in memory, on GPUs'),
          contextLength: figure('as loaded'),
          expiresAt: whole("when it may go, milliseconds since the epoch by the node's clock; 0 for never"),
        }),
      ),
    }),
  ),
})

export const NodeStatus = Type.Object({
  node: text('what it is called'),
  agent: word(
    ['none', 'silent', 'up'],
    'none: never heard since the house began; silent: there is no line to it, or nothing comes; up: it is heard',
  ),
  sentence: text('the same for people'),
  version: text("its Ollama's; empty until it has answered"),
  equipment: maybe(Equipment),
  throttled: maybe(Throttled),
  heardAt: maybe(at('when its agent was heard last')),
  ageMs: maybe(whole('how long ago that was')),
  status: maybe(StatusHeard),
  replicas: replicasHere,
})
