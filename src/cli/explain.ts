/** `quipu explain`: why a request went where it went, and what came of it. */

import { Failure } from '../failure.ts'
import type { Told, Why } from '../gateway/schema.ts'
import type { Entry } from '../journal/journal.ts'
import { type Client, clientOf } from './client.ts'
import { dataWords } from './facts.ts'
import { durationOf, timeOf } from './quantities.ts'
import type { RequestRow } from './requests.ts'
import { houseOptions } from './settings.ts'
import { sayTable, tableLines } from './table.ts'
import { fitted, plain, say, sayJson, tinted } from './terminal.ts'
import { jsonOption, misused, type Verb } from './verb.ts'

type Story = Told<typeof Why>
type Attempt = Story['attempts'][number]
type Candidate = Attempt['candidates'][number]
type Whole = RequestRow & { readonly facts: readonly Entry[] }

export const explain: Verb = {
  usage: ['explain ID', 'explain last'],
  about:
    'Tells the story of one request, however old: in a sentence, then the nodes it was chosen from at each attempt, ' +
    'as the house knew them at that moment, then fact by fact. The id is in the X-Quipu-Request header of the answer.',
  options: { ...houseOptions, ...jsonOption },
  examples: [
    ['quipu explain last', 'the newest request'],
    ['quipu requests --state failed', 'lists ids to explain'],
  ],
  wordsMax: 1,
  async run(given) {
    const client = clientOf(given)
    const [word] = given.words
    if (word === undefined) throw misused('explain needs the id of a request, or last')
    const id = word === 'last' ? await newest(client) : word
    const path = `/quipu/requests/${encodeURIComponent(id)}`
    const [story, request] = await Promise.all([client.ask<Story>(`${path}/why`), client.ask<Whole>(path)])
    if (given.switches.has('json')) return sayJson({ ...story, request })
    tell(story, request)
  },
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
  { id, sentence, attempts, waits }: Story,
  { path, model, client, admittedAt, facts }: Whole,
): void {
  say(plain(sentence))
  say()
  say(plain(`request  ${id}`))
  say(plain(`asked    ${path ?? '?'} for ${model ?? '?'}, by ${client ?? '?'}, at ${timeOf(admittedAt)}`))
  for (const attempt of attempts) {
    say()
    say(tinted('bold', plain(attemptLine(attempt))))
    sayCandidates(attempt.candidates, attempt.node)
  }
  if (waits?.candidates !== undefined) {
    say()
    say(tinted('bold', 'Now, while it waits'))
    sayCandidates(waits.candidates)
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
      { name: 'WHY NOT', cell: ({ excluded }) => excluded ?? '' },
    ],
    'There was no node.',
  )
}
