/**
 * What became of one request, told from its facts alone: a summary in figures, and the story in attempts and words.
 * Pure: the facts, and for what still goes on, the time. Facts whose data has been forgotten tell what is left.
 */
import { replicaParts } from '../../machines/replica.ts'
import type { Candidate } from '../../machines/request.ts'
import type { Entry } from '../journal/journal.ts'
import type { Request } from './schema/requests.ts'
import type { Why } from './schema/why.ts'
import type { Told } from './schema/words.ts'

export type RequestSummary = Told<typeof Request>
export type Story = Told<typeof Why>
type Attempt = Story['attempts'][number]
type Load = Story['loads'][number]
type Waits = NonNullable<Story['waits']>

type State = RequestSummary['state']

/** The state a fact leads to. */
const STATES: Readonly<Record<string, State>> = {
  'request.admitted': 'queued',
  'request.assigned': 'running',
  'request.leased': 'leased',
  'request.extended': 'leased',
  'request.begun': 'answering',
  'request.retried': 'queued',
  'request.completed': 'completed',
  'request.failed': 'failed',
  'request.expired': 'expired',
  'request.abandoned': 'abandoned',
  'request.cancelled': 'cancelled',
}

const OPEN: ReadonlySet<State> = new Set<State>(['queued', 'running', 'answering', 'leased'])

export function isOpen(state: State): boolean {
  return OPEN.has(state)
}

/** `facts` are those of one request, all so far, in order. */
export function summary(facts: readonly Entry[], now: number): RequestSummary {
  const first = facts[0]!
  const last = facts.findLast(({ type }) => type in STATES)! // an answer that came too late changes nothing
  const state = STATES[last.type]!
  const end = isOpen(state) ? now : last.at
  let told: Partial<RequestSummary> = {}
  let attempts = 0
  let waitedMs = 0
  let queuedAt: number | undefined
  let batch: string | undefined
  for (const fact of facts) {
    switch (fact.type) {
      case 'request.admitted': {
        const { path, model, client, priority, bodyBytes, expiresAt } = dataOf(fact)
        told = { ...told, ...given({ path, model, client, priority, bodyBytes, expiresAt }) }
        queuedAt = fact.at
        break
      }
      case 'request.assigned':
      case 'request.leased': {
        const data = dataOf(fact)
        attempts += 1
        waitedMs += fact.at - (queuedAt ?? fact.at)
        queuedAt = undefined
        batch = 'batch' in data ? data.batch : undefined
        told = {
          ...told,
          ...given({ node: 'worker' in data ? data.worker : (data as { node?: string }).node }),
        }
        break
      }
      case 'request.begun': {
        const { ttftMs, status } = dataOf(fact)
        told = { ...told, ...given({ ttftMs, status }) }
        break
      }
      case 'request.retried':
        queuedAt = fact.at
        break
      case 'request.completed':
      case 'request.failed':
      case 'request.abandoned':
      case 'request.cancelled':
        told = { ...told, ...dataOf(fact) }
        break
    }
  }
  waitedMs += end - (queuedAt ?? end)
  const { id, at: admittedAt } = first
  const totalMs = end - admittedAt
  return {
    id,
    state,
    admittedAt,
    attempts,
    waitedMs,
    totalMs,
    ...told,
    ...(batch !== undefined && { batch }),
    ...(!isOpen(state) && { endedAt: last.at }),
  }
}

/** Has it been sent to this node, at any time? */
export function touched(facts: readonly Entry[], node: string): boolean {
  return facts.some(fact => fact.type === 'request.assigned' && dataOf(fact).node === node)
}

/**
 * `around` are the facts of the whole house around its wait, as far as they are known; they tell of loads. `waits` is
 * what holds it up now, if anything does.
 */
export function story(
  facts: readonly Entry[],
  { now, around = [], waits }: { now: number; around?: readonly Entry[]; waits?: Waits },
): Story {
  const told = summary(facts, now)
  const { id, model, state } = told
  const attempts = attemptsOf(facts, now)
  const [first, last] = [facts[0]!.seq, isOpen(state) ? Number.POSITIVE_INFINITY : facts.at(-1)!.seq]
  const during = around.filter(({ seq }) => seq > first && seq < last)
  const loads = loadsOf(during, model)
  return {
    id,
    ...(model !== undefined && { model }),
    state,
    sentence: sentence(told, attempts, loads, waits),
    attempts,
    loads,
    ...(waits !== undefined && { waits }),
  }
}

function attemptsOf(facts: readonly Entry[], now: number): readonly Attempt[] {
  const attempts: Attempt[] = []
  const model = modelOf(facts)
  let queuedAt = facts[0]!.at
  for (const fact of facts) {
    const { at } = fact
    if (fact.type === 'request.assigned') {
      const { node = '?', candidates = [], batch } = dataOf(fact)
      attempts.push({
        attempt: attempts.length + 1,
        node,
        at,
        waitedMs: at - queuedAt,
        ...(batch !== undefined && { batch }),
        because:
          batch === undefined || batch === fact.id
            ? because(node, model, candidates)
            : `it rode along in batch ${batch}`,
        candidates,
        outcome: { as: 'running', runMs: now - at },
      })
      continue
    }
    if (fact.type === 'request.leased') {
      const { worker = '?' } = dataOf(fact)
      attempts.push({
        attempt: attempts.length + 1,
        node: worker,
        at,
        waitedMs: at - queuedAt,
        because: 'a worker of that name took it on a lease',
        candidates: [],
        outcome: { as: 'leased', runMs: now - at },
      })
      continue
    }
    const current = attempts.at(-1)
    if (fact.type === 'request.retried') queuedAt = at
    const outcome = current === undefined ? undefined : outcomeOf(fact, now - current.at, at - current.at)
    if (current !== undefined && outcome !== undefined && current.outcome.as in UNDER_WAY) {
      attempts[attempts.length - 1] = { ...current, outcome }
    }
  }
  return attempts
}

const UNDER_WAY = { running: true, answering: true, leased: true }

function outcomeOf(fact: Entry, soFarMs: number, runMs: number): Attempt['outcome'] | undefined {
  const { at } = fact
  switch (fact.type) {
    case 'request.begun':
      return { as: 'answering', ...given({ status: dataOf(fact).status }), runMs: soFarMs }
    case 'request.completed':
      return { as: 'completed', at, ...given({ status: dataOf(fact).status }), runMs }
    case 'request.retried':
    case 'request.failed': {
      const { reason, status } = dataOf(fact)
      const as = fact.type === 'request.failed' ? 'failed' : 'retried'
      return { as, at, ...given({ reason, status }), runMs }
    }
    case 'request.abandoned':
      return { as: 'abandoned', at, runMs }
    case 'request.cancelled':
      return { as: 'cancelled', at, runMs }
    default:
      return undefined
  }
}

/** Loads that ended while it waited; the last is what it waited for. */
function loadsOf(around: readonly Entry[], model: string | undefined): readonly Load[] {
  const loads: Load[] = []
  for (const fact of around) {
    if (fact.type !== 'replica.loaded' && fact.type !== 'replica.failed') continue
    const replica = replicaParts(fact.id)
    if (replica.model !== model) continue
    const { node } = replica
    if (fact.type === 'replica.failed') {
      loads.push({ node, at: fact.at, failed: dataOf(fact).reason ?? 'forgotten' })
    } else {
      loads.push({ node, at: fact.at, ...given({ ms: dataOf(fact).ms }) })
    }
  }
  return loads
}

// ── in words ─────────────────────────────────────────────────────────────────────────────────────────────────────

/** Why a node was chosen, from the rows it was chosen from: the rules of scheduler/place.ts read backwards. */
function because(node: string, model: string, candidates: readonly Candidate[]): string {
  const chosen = candidates.find(row => row.node === node)
  if (chosen === undefined) return ''
  if (chosen.resident) return `it had ${model} in memory and a free slot`
  if (chosen.estimateMs === 0) return `no node had ${model}, and any may say so itself`
  return `loading ${model} there had failed, and the client was to hear the node's own words`
}

/** The others, by what told against them. */
function others({ node, candidates }: Attempt, model: string): readonly string[] {
  const groups = new Map<string, string[]>()
  const none = (row: Candidate): boolean => !row.resident && row.estimateMs === 0
  for (const row of candidates) {
    if (row.node === node) continue
    const but = row.against === undefined ? '' : ` (${row.against})`
    const why =
      row.excluded !== undefined
        ? `excluded: ${row.excluded}`
        : row.resident
          ? row.idle > 0
            ? `as ready${but}`
            : `busy${but}`
          : none(row)
            ? row.idle > 0
              ? 'as good'
              : 'busy'
            : `cold: ${model} would have had to be loaded first${but}`
    groups.set(why, [...(groups.get(why) ?? []), row.node])
  }
  return [...groups].map(([why, nodes]) => `${list(nodes)} ${nodes.length === 1 ? 'was' : 'were'} ${why}`)
}

function sentence(
  told: RequestSummary,
  attempts: readonly Attempt[],
  loads: readonly Load[],
  waits: Waits | undefined,
): string {
  const { model = 'the model' } = told
  const said = [saidOfLoads(loads, model)]
  for (const [i, attempt] of attempts.entries()) {
    const last = i === attempts.length - 1
    const going = last && told.state in UNDER_WAY
    const ran = going ? 'runs on' : 'ran on'
    const order = attempts.length === 1 ? '' : i === 0 ? 'first ' : 'then '
    const why = attempt.because === '' ? '' : ` because ${attempt.because}`
    const { outcome } = attempt
    const shared = attempt.batch === told.id ? '; others rode along' : ''
    const broke = outcome.as === 'retried' ? `; there, ${trouble(outcome.reason, outcome.status)}` : ''
    said.push(
      `${[`${order}${ran} ${attempt.node}${why}`, ...others(attempt, model)].join('; ')}${shared}${broke}`.replace(
        /^./,
        letter => letter.toUpperCase(),
      ),
    )
  }
  said.push(ending(told, attempts, waits))
  return `${said.filter(Boolean).join('. ')}.`
}

function saidOfLoads(loads: readonly Load[], model: string): string {
  const went = loads.filter(({ failed }) => failed === undefined)
  const failed = loads.filter(({ failed }) => failed !== undefined)
  const places = went.map(({ node, ms }) => `on ${node}${ms === undefined ? '' : ` in ${roughly(ms)}`}`)
  const parts = [
    ...failed.map(({ node, failed }) => `loading ${model} on ${node} failed (${failed})`),
    ...(places.length === 0 ? [] : [`${model} was loaded ${list(places)}`]),
  ]
  return parts.length === 0 ? '' : `While it waited, ${parts.join('; ')}`
}

function ending(told: RequestSummary, attempts: readonly Attempt[], waits: Waits | undefined): string {
  const { state, status, totalMs, waitedMs, ttftMs, unretried } = told
  const spent = unretried === undefined ? '' : ', and the retry budget was spent'
  const after = roughly(totalMs)
  const waited = `waited ${roughly(waitedMs)}`
  const last = attempts.at(-1)
  const node = last?.outcome.as === 'retried' ? undefined : last?.node
  switch (state) {
    case 'queued':
      return `Has ${waited}${waits === undefined ? '' : `: ${waits.why}`}`
    case 'running':
      return `Nothing has come back after ${after} (${waited})`
    case 'answering':
      return `The answer${ttftMs === undefined ? '' : ` began after ${roughly(ttftMs)} and`} has not ended after ${after} (${waited})`
    case 'completed':
      return `Answered${status === undefined ? '' : ` ${status}`} after ${after} (${waited})`
    case 'failed':
      // A status in the outcome is what went wrong; one from before is what the client was told first.
      return `Failed after ${after} (${waited}): ${trouble(told.reason, node === undefined ? undefined : last?.outcome.status)}${spent}`
    case 'expired':
      return `Given up after ${after}: no slot was free in time`
    case 'abandoned': {
      const place = node === undefined ? 'in the queue' : ttftMs === undefined ? `on ${node}` : 'mid-answer'
      return `The client went away after ${after}, while it was ${place} (${waited})`
    }
    case 'leased':
      return `No answer has been brought after ${after} (${waited})`
    case 'cancelled':
      return `Called off after ${after} (${waited})`
  }
}

/** Reasons as facts have them, in words. */
const TROUBLES: Readonly<Record<string, string>> = {
  refused: 'the connection was refused',
  broken: 'the connection broke',
  timeout: 'no answer came in time',
  lost: 'the node went down',
  slow: 'the answer came far too slowly',
  wedged: 'the node had stopped answering inference',
  restart: 'the house was started anew',
  journal: 'the journal could not be written',
  'error-line': 'the answer ended with an error of the node',
  unterminated: 'the answer stopped before its end',
  lapsed: 'the lease of its worker ran out',
  poison: 'two nodes went down with it',
  spool: 'the spool could not give its question, or not take its answer',
}

function trouble(reason: string | undefined, status: number | undefined): string {
  if (status !== undefined) return `the node answered ${status}`
  if (reason === undefined) return 'why has been forgotten'
  return reason.startsWith('worker.')
    ? `the worker gave up (${reason.slice(7)})`
    : (TROUBLES[reason] ?? reason)
}

/** Why the first of a model's line waits, from what would be decided for it now; others wait behind it. */
export function waiting(
  model: string,
  { to, node = '', candidates = [] }: { to: string; node?: string; candidates?: readonly Candidate[] },
  loading: ReadonlySet<string>,
): string {
  if (to === 'assign') return `a slot on ${node} is free; it is about to run there`
  if (to === 'load') return `${node} is about to load ${model}`
  if (to === 'claim') return `${node} will load ${model} when what runs there has ended`
  const groups = new Map<string, string[]>()
  for (const row of candidates) {
    const why =
      row.excluded ??
      (loading.has(row.node)
        ? 'loading it'
        : row.resident || row.estimateMs === 0
          ? 'busy'
          : row.against === undefined
            ? 'cold, without room to load it or not expected to be quicker'
            : `cold; ${row.against}`)
    groups.set(why, [...(groups.get(why) ?? []), row.node])
  }
  if (groups.size === 0) return 'there is no node'
  return [...groups].map(([why, nodes]) => `${list(nodes)}: ${why}`).join('; ')
}

// ── small print ──────────────────────────────────────────────────────────────────────────────────────────────────

/** The data of a fact, or of one whose data has been forgotten nothing. */
export function dataOf<E extends Entry>({ data }: E): Partial<E['data']> {
  return (data ?? {}) as Partial<E['data']>
}

function modelOf(facts: readonly Entry[]): string {
  const [first] = facts
  return (first?.type === 'request.admitted' ? dataOf(first).model : undefined) ?? 'the model'
}

/** Without what is not known. */
function given<T extends object>(known: T): { [Key in keyof T]?: Exclude<T[Key], undefined> } {
  return Object.fromEntries(Object.entries(known).filter(([, value]) => value !== undefined)) as never
}

export function list(names: readonly string[], or: 'and' | 'or' = 'and'): string {
  return names.length === 1 ? names[0]! : `${names.slice(0, -1).join(', ')} ${or} ${names.at(-1)}`
}

export function roughly(ms: number): string {
  if (ms < 1_000) return ms < 50 ? `${Math.round(ms)} ms` : `${(ms / 1_000).toFixed(1)} s`
  if (ms < 59_950) return `${(ms / 1_000).toFixed(1)} s`
  const seconds = Math.round(ms / 1_000)
  return `${Math.floor(seconds / 60)} min ${seconds % 60} s`
}
