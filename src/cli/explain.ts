/** `quipu explain`: why a request went where it went, what was ahead of it, and what others would have done with it. */

import { readFile } from 'node:fs/promises'
import { Failure } from '../failure.ts'
import type { Hindsight, Why } from '../gateway/schema/why.ts'
import type { Told } from '../gateway/schema/words.ts'
import type { Entry } from '../journal/journal.ts'
import { type Client, clientOf } from './client.ts'
import { dataWords } from './facts.ts'
import { countOf, durationOf, timeOf } from './quantities.ts'
import type { RequestRow } from './requests.ts'
import { houseOptions } from './settings.ts'
import { sayTable, tableLines } from './table.ts'
import { fitted, plain, remark, say, sayJson, tinted } from './terminal.ts'
import { type Given, jsonOption, listOf, misused, type Verb } from './verb.ts'

type Story = Told<typeof Why>
type Attempt = Story['attempts'][number]
type Candidate = Attempt['candidates'][number]
type Whole = RequestRow & { readonly facts: readonly Entry[] }
type LookBack = Told<typeof Hindsight>
type Moment = LookBack['moments'][number]

export const explain: Verb = {
  usage: ['explain ID', 'explain last'],
  about:
    'Tells the story of one request, however old: in words, then the nodes it was chosen from at each attempt, as the ' +
    'house knew them at that moment, who was ahead of it, what else was decided meanwhile, then fact by fact. The id is ' +
    'in the X-Quipu-Request header of the answer. With --compare it tells, too, what another policy would have done at ' +
    'these very moments; for what that comes to over a week, ask quipu backtest.',
  options: {
    compare: {
      value: 'POLICY|KEY=V,…|FILE',
      sentence:
        'a policy that quipu backtest knows, as least-connections; or other settings of this one, of swap-cost=, as-good=, ' +
        'slow-min=, starve=, nodes=A+B, avoid=, prefer=; or a file with such settings, one a line; repeatable',
      list: true,
    },
    brief: {
      sentence: 'do not look back: the journal is read up to that moment, from the nearest snapshot on',
    },
    ...houseOptions,
    ...jsonOption,
  },
  examples: [
    ['quipu explain last', 'the newest request'],
    ['quipu explain last --compare least-connections', 'and where a plain balancer would have sent it'],
    [
      'quipu explain ID --compare swap-cost=1 --compare prefer=gpu-1',
      'and if swaps were cheaper, or gpu-1 dearer',
    ],
    ['quipu requests --state failed', 'lists ids to explain'],
  ],
  wordsMax: 1,
  async run(given) {
    const client = clientOf(given)
    const [word] = given.words
    if (word === undefined) throw misused('explain needs the id of a request, or last')
    const compare = await comparisons(given)
    const brief = given.switches.has('brief')
    if (brief && compare.length > 0) throw misused('--compare looks back, and --brief does not')
    const id = word === 'last' ? await newest(client) : word
    const path = `/quipu/requests/${encodeURIComponent(id)}`
    const query = compare.length === 0 ? {} : { compare: compare.join(';') }
    const [story, request, hindsight] = await Promise.all([
      client.ask<Story>(`${path}/why`),
      client.ask<Whole>(path),
      brief
        ? undefined
        : client.ask<LookBack>(`${path}/hindsight`, { query }).catch(error => absent(error, compare)),
    ])
    if (given.switches.has('json')) return sayJson({ ...story, request, ...(hindsight && { hindsight }) })
    tell(story, request, hindsight)
  },
}

/** Names and settings as they are; of a file the lines that say something. */
async function comparisons(given: Given): Promise<readonly string[]> {
  return Promise.all(
    listOf(given, 'compare').map(async text => {
      if (/^[a-z-]+$|=/.test(text)) return text
      const lines = await readFile(text, 'utf8').catch((error: Error) => {
        throw misused(`--compare: ${error.message}`)
      })
      return lines
        .split('\n')
        .map(line => line.replace(/#.*/, '').replaceAll(/\s+/g, ''))
        .filter(line => line !== '')
        .join(',')
    }),
  )
}

/** Without a look back the story is still one, unless that was what somebody wanted. */
function absent(error: unknown, compare: readonly string[]): undefined {
  if (compare.length > 0 || !(error instanceof Failure) || !error.retryable) throw error
  remark(`quipu: who was ahead of it is not told: ${error.message}`)
}

async function newest(client: Client): Promise<string> {
  const [request] = await client.ask<readonly RequestRow[]>('/quipu/requests', { query: { limit: 1 } })
  if (request !== undefined) return request.id
  throw new Failure(
    'request.unknown',
    'there is no request yet; send one, for example with: ollama run MODEL',
  )
}

function tell(
  { id, sentence, attempts, waits, meanwhile }: Story,
  { path, model, client, priority, admittedAt, facts }: Whole,
  hindsight: LookBack | undefined,
): void {
  const ranked = priority === undefined ? '' : `, priority ${priority}`
  say(plain(`${timeOf(admittedAt)}: ${client ?? '?'} asked for ${model ?? '?'} (${path ?? '?'}${ranked}).`))
  say(plain(sentence))
  const [came] = hindsight?.moments ?? []
  if (came !== undefined) for (const line of queueLines(came, model ?? '?')) say(plain(line))
  say()
  say(plain(`request  ${id}`))
  for (const attempt of attempts) {
    say()
    say(tinted('bold', plain(attemptLine(attempt))))
    sayCandidates(attempt.candidates, attempt.node)
    const moment = hindsight?.moments.find(({ as, at }) => as === 'assigned' && at === attempt.at)
    if (moment !== undefined) for (const line of edgeLines(moment)) say(plain(line))
  }
  if (waits?.candidates !== undefined) {
    say()
    say(tinted('bold', 'Now, while it waits'))
    sayCandidates(waits.candidates)
  }
  if (hindsight?.moments.some(({ others }) => others.length > 0)) sayOthers(hindsight)
  if (meanwhile !== undefined && meanwhile.items.length > 0) {
    say()
    say(tinted('bold', 'Meanwhile'))
    sayTable(meanwhile.items, [
      { name: 'AFTER', right: true, cell: ({ at }) => spanOf(at - admittedAt) },
      { name: 'SEQ', right: true, cell: ({ seq }) => String(seq) },
      { name: 'WHAT', cell: ({ words, by }) => (by === undefined ? words : `${words} (by ${by})`) },
    ])
    if (meanwhile.left > 0)
      say(`and ${countOf(meanwhile.left)} more: quipu journal --after ${facts[0]!.seq - 1}`)
  }
  say()
  say(tinted('bold', 'Fact by fact'))
  const rows = tableLines(facts, [
    { name: 'AFTER', right: true, cell: ({ at }) => durationOf(at - facts[0]!.at) },
    { name: 'SEQ', right: true, cell: ({ seq }) => String(seq) },
    { name: 'FACT', cell: ({ type }) => type },
    { name: 'DATA', cell: fact => dataWords(fact).join(' ') },
  ])
  for (const row of rows) say(fitted(row))
}

/** Before the request came, time runs backwards. */
function spanOf(ms: number): string {
  return ms < 0 ? `-${durationOf(-ms)}` : durationOf(ms)
}

/** Who was ahead when it came, and what was decided for it then. */
function queueLines({ queue, decided }: Moment, model: string): readonly string[] {
  if (queue === undefined) return []
  const { ahead, clients, oldestMs = 0, waiting } = queue
  const all = `${countOf(waiting - 1, 'other')} waited in the whole house`
  const others = waiting === 1 ? 'nobody else waited' : all
  const whose = clients.map(({ client, count }) => `${countOf(count)} of ${client}`).join(', ')
  const unnamed = ahead - clients.reduce((sum, { count }) => sum + count, 0)
  const rest = unnamed === 0 ? '' : `, ${countOf(unnamed)} of others`
  const line =
    ahead === 0
      ? `When it came, nobody was ahead of it for ${model}; ${others}.`
      : `When it came, ${countOf(ahead)} ${ahead === 1 ? 'was' : 'were'} ahead of it for ${model} (${whose}${rest}), ` +
        `the oldest for ${durationOf(oldestMs)}; ${all}.`
  return decided === undefined || decided.to === 'assign' || ahead > 0
    ? [line]
    : [line, `What was right for it then: to be ${decided.words}.`]
}

function edgeLines({ node, edges = [], decided }: Moment): readonly string[] {
  const groups = new Map<string, string[]>()
  for (const { over, words } of edges) groups.set(words, [...(groups.get(words) ?? []), over])
  const lines = [...groups].map(([words, nodes]) => `${node} went before ${nodes.join(', ')}: ${words}.`)
  if (decided !== undefined && !(decided.to === 'assign' && decided.nodes.includes(node!))) {
    const why = 'something that is kept in memory only told for the other'
    lines.push(`Decided again with what is in the journal, it would be ${decided.words}: ${why}.`)
  }
  return lines
}

/** Each moment, what was really done, and what the others would have. */
function sayOthers({ moments }: LookBack): void {
  say()
  say(tinted('bold', 'What others would have done'))
  const rows = moments.flatMap(({ as, at, node, decided, others }, i) => {
    const when = as === 'admitted' ? 'when it came' : `at its turn, ${durationOf(at - moments[0]!.at)} later`
    const really = as === 'admitted' ? (decided?.words ?? '') : `sent to ${node}`
    const told = [{ policy: as === 'admitted' ? 'quipu' : 'quipu, really', words: really }, ...others]
    return others.length === 0
      ? []
      : told.map((one, row) => ({ ...one, when: row === 0 ? when : '', moment: i }))
  })
  sayTable(rows, [
    { name: 'WHEN', cell: ({ when }) => when },
    { name: 'POLICY', cell: ({ policy }) => policy },
    { name: 'IT WOULD HAVE BEEN', cell: ({ words }) => words },
  ])
  say(
    'Each was asked for this one decision, with the nodes as they stood then, and nobody bound to them who still',
  )
  say(
    'waited. Under another policy they would have stood otherwise: what that comes to, quipu backtest tells.',
  )
}

function attemptLine({ attempt, node, waitedMs, outcome: { as, status, reason, runMs } }: Attempt): string {
  const why = [status, reason].filter(part => part !== undefined).join(', ')
  const took = runMs === undefined ? '' : ` after ${durationOf(runMs)}`
  return `Attempt ${attempt}: ${node}, after ${durationOf(waitedMs)} in the queue; ${as}${took}${why === '' ? '' : ` (${why})`}`
}

function sayCandidates(candidates: readonly Candidate[], chosen?: string): void {
  sayTable(
    candidates,
    [
      { name: '', cell: ({ node }) => (node === chosen ? '▶' : ' ') },
      { name: 'NODE', cell: ({ node }) => node, tint: ({ node }) => (node === chosen ? 'bold' : undefined) },
      { name: 'LOADED', cell: ({ resident }) => (resident ? 'yes' : 'no') },
      { name: 'IDLE', right: true, cell: ({ idle }) => String(idle) },
      {
        name: 'STARTS IN',
        right: true,
        cell: ({ estimateMs }) => (estimateMs === null ? '?' : durationOf(estimateMs)),
      },
      { name: 'WHY NOT', cell: ({ excluded, against }) => excluded ?? against ?? '' },
    ],
    'There was no node.',
  )
}
