/** `quipu events`: the facts as they happen, one a line, until Ctrl-C. Loses none when the connection breaks. */
import { setTimeout as pause } from 'node:timers/promises'
import type { Kind } from '../../machines/index.ts'
import { systemClock } from '../clock.ts'
import { Failure } from '../failure.ts'
import type { Entry } from '../journal/journal.ts'
import { type Client, clientOf } from './client.ts'
import { factLine } from './facts.ts'
import { houseOptions } from './settings.ts'
import { interruption } from './signals.ts'
import { frames } from './sse.ts'
import { fitted, remark, say } from './terminal.ts'
import { textOf, type Verb, wholeOf, wordsOf } from './verb.ts'

/** The house gives a sign of life every 15 s. */
const SILENCE_MAX_MS = 40_000
const AGAIN_MS = 1_000

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
} satisfies Record<Kind, true>)

export const events: Verb = {
  usage: ['events'],
  about:
    'Prints the facts of a running house as they come to be on its disk, one a line: time, seq, fact, whose, and what. ' +
    'When the connection breaks it comes back, and goes on where it was.',
  options: {
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
    after: {
      value: 'SEQ',
      fallback: 'from now on',
      sentence: 'begin after this fact; 0 begins with the first',
    },
    ...houseOptions,
    json: { sentence: 'print each fact as JSON, one a line' },
  },
  examples: [
    ['quipu events --kind node,breaker', 'what happens to the machines'],
    ['quipu events --after 0 --json | jq -r .type | sort | uniq -c', 'count everything that ever happened'],
  ],
  async run(given) {
    const client = clientOf(given)
    const kind = wordsOf(given, 'kind', KINDS)
    const [type, id] = ['type', 'id'].map(name => textOf(given, name))
    const print = given.switches.has('json')
      ? (data: string) => say(data)
      : (data: string) => say(fitted(factLine(JSON.parse(data) as Entry)))
    const stop = interruption()
    let mark = wholeOf(given, 'after')
    let known = false
    while (!stop.aborted) {
      try {
        for await (const { id: seq, event, data } of listen(client, { kind, type, id, after: mark }, stop)) {
          if (!known) known = true
          if (event === 'cut') remark(`quipu: ${(JSON.parse(data) as { error: string }).error}`)
          else if (data !== '') print(data)
          if (/^\d+$/.test(seq)) mark = Number(seq)
        }
      } catch (error) {
        if (stop.aborted) return
        if (!(error instanceof Failure && error.retryable && known)) throw error
        remark(`quipu: ${error.message.split(';', 1)[0]}; trying again …`)
      }
      await pause(AGAIN_MS, undefined, { signal: stop }).catch(() => {})
    }
  },
}

/** One connection. Given up when not even a sign of life comes. */
async function* listen(
  client: Client,
  {
    after,
    ...filters
  }: {
    kind: string | undefined
    type: string | undefined
    id: string | undefined
    after: number | undefined
  },
  stop: AbortSignal,
): ReturnType<typeof frames> {
  const lost = new AbortController()
  const signal = AbortSignal.any([stop, lost.signal])
  const giveUp = () => systemClock.after(SILENCE_MAX_MS, () => lost.abort())
  let timer = giveUp()
  const hear = (): void => {
    timer.cancel()
    timer = giveUp()
  }
  const headers = after === undefined ? {} : { 'last-event-id': String(after) }
  try {
    yield* frames(client.lines('/quipu/events', { query: filters, headers, signal }), hear)
  } catch (error) {
    if (!lost.signal.aborted) throw error
    const said = `the house at ${client.url} has given no sign of life for ${SILENCE_MAX_MS / 1_000} s`
    throw new Failure('house.silent', said, { cause: error, retryable: true })
  } finally {
    timer.cancel()
  }
}
