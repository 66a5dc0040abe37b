/** The doors of named subscriptions: make and delete them, and take, acknowledge and give back what they hold. */
import type { FastifyPluginAsync, FastifyReply } from 'fastify'
import type { Engine } from '../engine/engine.ts'
import type { Entry, Journal } from '../journal/journal.ts'
import { type Naming, writtenNames } from '../naming.ts'
import { type Asked, doors, hang } from './doors.ts'
import type { Subscription } from './schema/subscriptions.ts'
import type { Told } from './schema/words.ts'
import { speakJson, whenWritten, whileWritable } from './writing.ts'

type View = Told<typeof Subscription>
type Standing = Omit<View, 'webhook'> & {
  readonly webhook?: NonNullable<View['webhook']> & { readonly target: string }
}

/** See subscriptions/subscriptions.ts. */
export interface SubscriptionsLike {
  all(): readonly Standing[]
  standing(name: string): Standing
  create(
    order: {
      readonly name: string
      readonly filter: Readonly<Record<string, string>>
      readonly after?: number | undefined
      readonly webhook?:
        | {
            readonly url: string
            readonly secret?: string
            readonly format: 'json' | 'ndjson'
            readonly batchMax: number
            readonly lingerMs: number
            readonly failuresMax: number
          }
        | undefined
    },
    by: string,
  ): Promise<boolean>
  delete(name: string, by: string): Promise<void>
  park(name: string, by: string): Promise<void>
  resume(name: string, by: string): Promise<void>
  take(
    name: string,
    taking: {
      readonly max: number
      readonly leaseMs: number
      readonly waitMs: number
      readonly signal: AbortSignal
    },
  ): Promise<{
    readonly lease?: string
    readonly until?: number
    readonly attempt?: number
    readonly facts: readonly Entry[]
  }>
  ack(name: string, lease: string, through?: number): Promise<void>
  ackThrough(name: string, seq: number): Promise<void>
  giveBack(name: string, lease: string): void
  extend(name: string, lease: string, leaseMs: number): number
  halt(): void
}

export interface SubscriptionDoorsNeeds {
  readonly engine: Engine
  readonly journal: Journal
  readonly named: SubscriptionsLike
  /** Under which name a client is written down; see naming.ts. */
  readonly naming: Naming
  /** See journal/beginning.ts. */
  readonly beginnings: { mark(from: string, signal: AbortSignal): Promise<number> }
}

const TAKE_MAX = 100
const LEASE_MS = 60_000

const BATCH_MAX = 100
const LINGER_MS = 1_000
const FAILURES_MAX = 20

export const subscriptions: FastifyPluginAsync<SubscriptionDoorsNeeds> = async (app, needs) => {
  const { beginnings, engine, named, naming } = needs
  speakJson(app)
  const write = whileWritable(engine)
  app.addHook('preClose', async () => named.halt())

  /** What it is told of: not where in the spool its target lies. */
  function view(standing: Standing): View {
    if (standing.webhook === undefined) return standing
    const { target: _item, ...webhook } = standing.webhook
    return { ...standing, webhook }
  }

  hang(app, doors.subscriptions, ({ reply }) => whenWritten(needs, reply, named.all().map(view)))
  hang(app, doors.subscription, ({ params: { name }, reply }) =>
    whenWritten(needs, reply, view(named.standing(name))),
  )

  hang(
    app,
    doors.createSubscription,
    async ({ body: { name, filter = {}, from = filter.since ?? 'now', webhook }, by, reply }) => {
      const after = from === 'now' ? undefined : await beginnings.mark(String(from), leaving(reply))
      // It is written into a fact, and with pseudonyms no fact has a name.
      const kept = filter.client ? { ...filter, client: writtenNames(filter.client, naming) } : filter
      const made = await named.create(
        { name, filter: kept, after, webhook: webhook && withDefaults(webhook) },
        by,
      )
      if (!made) reply.code(200)
      reply.header('Location', `/quipu/subscriptions/${name}`)
      return view(named.standing(name))
    },
    write,
  )
  hang(
    app,
    doors.deleteSubscription,
    async ({ params: { name }, by }) => {
      await named.delete(name, by)
      return { name, deleted: true }
    },
    write,
  )
  hang(
    app,
    doors.parkSubscription,
    async ({ params: { name }, by }) => {
      await named.park(name, by)
      return view(named.standing(name))
    },
    write,
  )
  hang(
    app,
    doors.resumeSubscription,
    async ({ params: { name }, by }) => {
      await named.resume(name, by)
      return view(named.standing(name))
    },
    write,
  )

  hang(
    app,
    doors.takeFacts,
    async ({ params: { name }, body: { max = TAKE_MAX, leaseMs = LEASE_MS, waitMs = 0 }, reply }) => {
      const taken = await named.take(name, { max, leaseMs, waitMs, signal: leaving(reply) })
      return { ...taken, ...place(named.standing(name)) }
    },
  )
  hang(app, doors.ackFacts, async ({ params: { name }, body: { lease, seq } }) => {
    if (lease !== undefined) await named.ack(name, lease, seq)
    else await named.ackThrough(name, seq!) // the schema wants one of them
    return place(named.standing(name))
  })
  hang(app, doors.returnFacts, ({ params: { name }, body: { lease } }) => {
    named.giveBack(name, lease)
    return place(named.standing(name))
  })
  hang(app, doors.extendFacts, ({ params: { name }, body: { lease, leaseMs } }) => ({
    lease,
    until: named.extend(name, lease, leaseMs),
  }))
}

function place({ mark, lag }: Standing): { readonly mark: number; readonly lag: number } {
  return { mark, lag }
}

type Wish = NonNullable<Asked<typeof doors.createSubscription>['body']['webhook']>

function withDefaults({ url, secret, format, batchMax, lingerMs, failuresMax }: Wish) {
  return {
    url,
    ...(secret !== undefined && { secret }),
    format: format ?? 'json',
    batchMax: batchMax ?? BATCH_MAX,
    lingerMs: lingerMs ?? LINGER_MS,
    failuresMax: failuresMax ?? FAILURES_MAX,
  }
}

/** Of whoever waits for the answer. */
function leaving({ raw }: FastifyReply): AbortSignal {
  const gone = new AbortController()
  raw.once('close', () => gone.abort())
  return gone.signal
}
