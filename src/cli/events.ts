/** `quipu events`: the facts as they happen, one a line, until Ctrl-C. Loses none when the connection breaks. */
import type { Kind } from '../../machines/index.ts'
import { type SubscribeOptions, SubscriptionError, subscribe, type Trouble } from '../client/index.ts'
import { Failure } from '../failure.ts'
import { clientOf } from './client.ts'
import { factLine } from './facts.ts'
import { houseOptions } from './settings.ts'
import { interruption } from './signals.ts'
import { fitted, remark, say } from './terminal.ts'
import { type Given, misused, momentOf, textOf, type Verb, wholeOf, wordsOf } from './verb.ts'

const WAIT_MAX_MS = 2_000

/** A record, so that the compiler knows a missing one; the law itself need not be loaded to follow it. */
const KINDS = Object.keys({
  node: true,
  breaker: true,
  model: true,
  replica: true,
  request: true,
  delivery: true,
  policy: true,
  setting: true,
  spool: true,
  signer: true,
  scrub: true,
  subscription: true,
  refusals: true,
  archive: true,
  forgetting: true,
  transfer: true,
  agent: true,
} satisfies Record<Kind, true>)

export const events: Verb = {
  usage: ['events'],
  about:
    'Prints the facts of a running house as they come to be on its disk, one a line: time, seq, fact, whose, and what. ' +
    'When the connection breaks it comes back, and goes on where it was.',
  options: {
    from: {
      value: 'WHERE',
      fallback: 'now, or where --since begins',
      sentence:
        'where to begin: start, now, the seq of a fact, a time such as "2026-01-31 09:05", or 90m for so long ago',
    },
    after: { value: 'SEQ', sentence: 'begin after this fact' },
    kind: {
      value: 'KIND',
      fallback: 'all',
      sentence: `only facts about ${KINDS.join(', ')}; several with commas`,
    },
    type: {
      value: 'TYPE',
      fallback: 'all',
      sentence:
        'only these facts, as node.lost; one that ends with a dot stands for all that begin so; several with commas',
    },
    id: {
      value: 'ID',
      fallback: 'all',
      sentence: 'only about this node, model, model@node, request or setting; several with commas',
    },
    client: {
      value: 'CLIENT',
      fallback: 'all',
      sentence: 'only requests of this client, and what else it asked of the house; several with commas',
    },
    model: {
      value: 'MODEL',
      fallback: 'all',
      sentence:
        'only requests for this model, the model, its replicas, transfers and policy; several with commas',
    },
    node: {
      value: 'NODE',
      fallback: 'all',
      sentence:
        'only requests from when they were given to this node, the node, its breaker and replicas; several with commas',
    },
    since: { value: 'TIME', sentence: 'only facts of this time and later' },
    until: { value: 'TIME', sentence: 'only facts before this time' },
    ...houseOptions,
    json: { sentence: 'print each fact as JSON, one a line' },
  },
  examples: [
    ['quipu events --kind node,breaker', 'what happens to the machines'],
    [
      'quipu events --client ann --since 1h',
      'what became of all that ann asked within the last hour, and on',
    ],
    ['quipu events --from start --json | jq -r .type', 'everything that ever happened, for programs'],
  ],
  async run(given) {
    const { url } = clientOf(given)
    const stop = interruption()
    const print = given.switches.has('json')
      ? (fact: object) => say(JSON.stringify(fact))
      : (fact: Parameters<typeof factLine>[0]) => say(fitted(factLine(fact)))
    const facts = subscribe({
      url,
      ...wishOf(given),
      signal: stop,
      waitMaxMs: WAIT_MAX_MS,
      attemptsMax: Number.POSITIVE_INFINITY,
      onTrouble(trouble) {
        if (facts.mark === undefined) throw trouble.error
        mention(trouble)
      },
    })
    try {
      for await (const fact of facts) print(fact)
    } catch (error) {
      if (!(error instanceof SubscriptionError)) throw error
      const hint =
        error.code === 'house.absent'
          ? '; start one with: quipu serve (or say with --host where it is)'
          : error.code === 'house.refused'
            ? '; say with --host and --port where the house is'
            : ''
      throw new Failure(error.code, error.message + hint, { cause: error })
    }
  },
}

/** Once, and not before each of the attempts that follow. */
function mention({ error, attempt }: Trouble): void {
  if (attempt > 1) return
  remark(`quipu: ${error.message}; trying again …`)
}

function wishOf(given: Given): SubscribeOptions {
  const from = beginningOf(given)
  const moment = (name: string): Date | undefined => {
    const at = momentOf(given, name)
    return at === undefined ? undefined : new Date(at)
  }
  const kinds = wordsOf(given, 'kind', KINDS)?.split(',')
  const [types, ids, clients, models, nodes] = ['type', 'id', 'client', 'model', 'node'].map(name =>
    textOf(given, name)?.split(','),
  )
  const wish = {
    from,
    kinds,
    types,
    ids,
    clients,
    models,
    nodes,
    since: moment('since'),
    until: moment('until'),
  }
  return Object.fromEntries(Object.entries(wish).filter(([, value]) => value !== undefined))
}

function beginningOf(given: Given): SubscribeOptions['from'] {
  const after = wholeOf(given, 'after')
  const from = textOf(given, 'from')
  if (after !== undefined && from !== undefined) throw misused('--after and --from both say where to begin')
  if (after !== undefined) return after + 1
  if (from === undefined || from === 'start' || from === 'now') return from
  return /^\d+$/.test(from) ? Number(from) : new Date(momentOf(given, 'from')!)
}
