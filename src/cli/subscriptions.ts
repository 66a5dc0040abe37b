/** `quipu subscriptions`: who reads the journal with a mark that the house keeps, and what people do about it. */
import { readFile } from 'node:fs/promises'
import { durationMs } from '../config.ts'
import type { Subscription } from '../gateway/schema/subscriptions.ts'
import type { Told } from '../gateway/schema/words.ts'
import { type Client, clientOf } from './client.ts'
import { deedIn } from './deed.ts'
import { countOf, durationOf, timeOf } from './quantities.ts'
import { houseOptions } from './settings.ts'
import { type Column, sayTable } from './table.ts'
import { plain, say, sayJson } from './terminal.ts'
import { type Given, jsonOption, misused, type Options, textOf, type Verb, wholeOf } from './verb.ts'

type Row = Told<typeof Subscription>

const filterOptions: Options = {
  kind: { value: 'KIND', fallback: 'all', sentence: 'create: only facts about these kinds, as node,breaker' },
  type: {
    value: 'TYPE',
    fallback: 'all',
    sentence: 'create: only these facts, as node.lost; one that ends with a dot stands for all that begin so',
  },
  id: { value: 'ID', fallback: 'all', sentence: 'create: only facts about these things' },
  client: { value: 'CLIENT', fallback: 'all', sentence: 'create: only facts of requests of these clients' },
  model: { value: 'MODEL', fallback: 'all', sentence: 'create: only facts about these models' },
  node: { value: 'NODE', fallback: 'all', sentence: 'create: only facts about these nodes' },
}

const webhookOptions: Options = {
  url: { value: 'URL', fallback: 'none', sentence: 'create: a webhook: the house brings the facts there' },
  'secret-file': {
    value: 'FILE',
    fallback: 'unsigned',
    sentence: 'create: sign what is sent with what stands in this file',
  },
  format: { value: 'json|ndjson', fallback: 'json', sentence: 'create: how a batch is written' },
  size: { value: 'N', fallback: '100', sentence: 'create: facts in one batch' },
  linger: {
    value: 'DURATION',
    fallback: '1s',
    sentence: 'create: how long the first fact of a batch may wait for others',
  },
  failures: {
    value: 'N',
    fallback: '20',
    sentence: 'create: failures in a row after which the house stops calling and parks it',
  },
}

export const subscriptions: Verb = {
  usage: [
    'subscriptions [list]',
    'subscriptions create NAME',
    'subscriptions show NAME',
    'subscriptions ack NAME SEQ',
    'subscriptions park NAME',
    'subscriptions resume NAME',
    'subscriptions delete NAME',
  ],
  about:
    'Named readers of the journal, whose place the house keeps: lists them and how far behind each is, makes one ' +
    '(create), says that everything up to a fact is dealt with (ack), stops one (park) and lets it go on (resume), or ' +
    'forgets it (delete). Programs take the facts at /quipu/subscriptions/NAME/take, several of them sharing one if ' +
    'they like; with --url the house brings them itself, and parks the subscription when nobody takes them there.',
  options: {
    from: {
      value: 'WHERE',
      fallback: 'now',
      sentence: 'create: begin with start, now, the fact of this seq, or a time, ISO 8601',
    },
    ...filterOptions,
    ...webhookOptions,
    ...houseOptions,
    ...jsonOption,
  },
  examples: [
    [
      'quipu subscriptions create billing --type request.completed --from start',
      'for a program that counts tokens, from the first fact on',
    ],
    [
      'quipu subscriptions create pager --kind node --url https://hooks.example/quipu --secret-file hook.key',
      'call when something happens to a node',
    ],
    ['quipu subscriptions resume pager', 'its receiver is well again: go on where it stopped'],
  ],
  wordsMax: 3,
  async run(given) {
    const asked = given.words.length === 0 ? ['list'] : given.words
    const { name, deed, words } = deedIn(deeds, asked, { verb: 'subscriptions' })
    for (const flag of ['from', ...Object.keys(filterOptions), ...Object.keys(webhookOptions)]) {
      if (name !== 'create' && given.flags[flag] !== undefined)
        throw misused(`--${flag} goes with subscriptions create`)
    }
    await deed.run(clientOf(given), given, words)
  },
}

interface Deed {
  readonly words: readonly string[]
  readonly run: (client: Client, given: Given, words: readonly string[]) => Promise<void>
}

const deeds: Readonly<Record<string, Deed>> = {
  list: { words: [], run: list },
  create: { words: ['NAME'], run: create },
  show: { words: ['NAME'], run: show },
  ack: { words: ['NAME', 'SEQ'], run: ack },
  park: { words: ['NAME'], run: (client, given, words) => turn(client, given, words, 'park') },
  resume: { words: ['NAME'], run: (client, given, words) => turn(client, given, words, 'resume') },
  delete: { words: ['NAME'], run: remove },
}

const pathOf = (name: string): string => `/quipu/subscriptions/${encodeURIComponent(name)}`

const columns: readonly Column<Row>[] = [
  { name: 'NAME', cell: ({ name }) => name },
  {
    name: 'STATE',
    cell: stateOf,
    tint: ({ state, failing }) => (state === 'parked' ? 'red' : failing === undefined ? 'green' : 'yellow'),
  },
  { name: 'LAG', right: true, cell: ({ lag }) => countOf(lag) },
  { name: 'MARK', right: true, cell: ({ mark }) => String(mark) },
  { name: 'OUT', right: true, cell: ({ leases }) => String(leases) },
  { name: 'FACTS', cell: filterOf },
  { name: 'WEBHOOK', cell: ({ webhook }) => webhook?.origin ?? '' },
]

async function list(client: Client, { switches }: Given): Promise<void> {
  const rows = await client.ask<readonly Row[]>('/quipu/subscriptions')
  if (switches.has('json')) return sayJson(rows)
  sayTable(rows, columns, 'There is no subscription. Make one with: quipu subscriptions create NAME')
  const parked = rows.filter(({ state, reason }) => state === 'parked' && reason !== 'asked')
  if (parked.length > 0) say()
  for (const { name } of parked)
    say(plain(`${name}: when its receiver is well, quipu subscriptions resume ${name}`))
}

async function create(client: Client, given: Given, [name = '']: readonly string[]): Promise<void> {
  const filter = Object.fromEntries(
    Object.keys(filterOptions).flatMap(field => {
      const value = textOf(given, field)
      return value === undefined ? [] : [[field, value]]
    }),
  )
  const from = textOf(given, 'from')
  const webhook = await webhookOf(given)
  const row = await client.ask<Row>('/quipu/subscriptions', {
    method: 'POST',
    body: {
      name,
      ...(Object.keys(filter).length > 0 && { filter }),
      ...(from !== undefined && { from }),
      ...(webhook !== undefined && { webhook }),
    },
  })
  if (given.switches.has('json')) return sayJson(row)
  const whence = `from fact ${row.mark + 1} on`
  const how =
    row.webhook === undefined ? `take them at POST ${pathOf(name)}/take` : `to ${row.webhook.origin}`
  say(plain(`${name} gets ${filterOf(row)} ${whence}: ${how}`))
}

async function webhookOf(given: Given): Promise<object | undefined> {
  const url = textOf(given, 'url')
  if (url === undefined) {
    const stray = Object.keys(webhookOptions).find(flag => given.flags[flag] !== undefined)
    if (stray !== undefined) throw misused(`--${stray} goes with --url`)
    return undefined
  }
  const file = textOf(given, 'secret-file')
  const [format, linger] = [textOf(given, 'format'), textOf(given, 'linger')]
  const batchMax = wholeOf(given, 'size', 1_000)
  const failuresMax = wholeOf(given, 'failures', 1_000)
  return {
    url,
    ...(file !== undefined && { secret: await secretIn(file) }),
    ...(format !== undefined && { format }),
    ...(batchMax !== undefined && { batchMax }),
    ...(linger !== undefined && { lingerMs: lingerOf(linger) }),
    ...(failuresMax !== undefined && { failuresMax }),
  }
}

async function secretIn(file: string): Promise<string> {
  try {
    return (await readFile(file, 'utf8')).trim()
  } catch (cause) {
    throw misused(`--secret-file: ${(cause as Error).message}`)
  }
}

function lingerOf(text: string): number {
  try {
    return durationMs(text)
  } catch (error) {
    throw misused(`--linger: ${(error as Error).message}`)
  }
}

async function show(client: Client, { switches }: Given, [name = '']: readonly string[]): Promise<void> {
  const row = await client.ask<Row>(pathOf(name))
  if (switches.has('json')) return sayJson(row)
  sayTable([row], columns)
  say()
  const { createdAt, by, after, since, reason, failures, status, failing, webhook } = row
  say(plain(`made ${timeOf(createdAt)}${by === undefined ? '' : ` by ${by}`}, from fact ${after + 1} on`))
  if (row.state === 'parked') {
    const answer = status === undefined ? '' : ` (${status})`
    const count = failures === 0 ? '' : ` after ${countOf(failures ?? 0, 'failure')} in a row`
    say(
      plain(
        `parked since ${timeOf(since)}: ${reason}${answer}${count}; quipu subscriptions resume ${row.name}`,
      ),
    )
  }
  if (webhook !== undefined) {
    const { signed, format, batchMax, lingerMs, failuresMax } = webhook
    const batch = `${countOf(batchMax, 'fact')} or after ${durationOf(lingerMs)}`
    const failed = countOf(failuresMax, 'failure')
    say(
      `webhook: ${format}, ${signed ? 'signed' : 'not signed'}, a batch of ${batch}; parks after ${failed} in a row`,
    )
  }
  if (failing !== undefined) {
    const answer = failing.status === undefined ? '' : ` (${failing.status})`
    const count = countOf(failing.failures, 'failure')
    say(plain(`${count} in a row: ${failing.reason}${answer}; tried again ${timeOf(failing.until)}`))
  }
}

async function ack(
  client: Client,
  { switches }: Given,
  [name = '', seq = '']: readonly string[],
): Promise<void> {
  if (!/^\d{1,15}$/.test(seq)) throw misused(`"${seq}" is not the seq of a fact`)
  const body = { seq: Number(seq) }
  const place = await client.ask<{ mark: number; lag: number }>(`${pathOf(name)}/ack`, {
    method: 'POST',
    body,
  })
  if (switches.has('json')) return sayJson(place)
  say(plain(`${name} goes on after fact ${place.mark}; ${countOf(place.lag, 'fact')} behind`))
}

async function turn(
  client: Client,
  { switches }: Given,
  [name = '']: readonly string[],
  way: 'park' | 'resume',
): Promise<void> {
  const row = await client.ask<Row>(`${pathOf(name)}/${way}`, { method: 'POST' })
  if (switches.has('json')) return sayJson(row)
  const said = row.state === 'parked' ? 'is parked at' : 'goes on after'
  say(plain(`${name} ${said} fact ${row.mark}; ${countOf(row.lag, 'fact')} behind`))
}

async function remove(client: Client, { switches }: Given, [name = '']: readonly string[]): Promise<void> {
  const gone = await client.ask<object>(pathOf(name), { method: 'DELETE' })
  if (switches.has('json')) return sayJson(gone)
  say(plain(`${name} is no more`))
}

function stateOf({ state, reason, status, failing }: Row): string {
  const why = state === 'parked' ? { reason, status } : failing
  if (why === undefined) return state
  const answer = why.status === undefined ? '' : ` ${why.status}`
  return state === 'parked' ? `parked (${why.reason}${answer})` : `failing (${why.reason}${answer})`
}

function filterOf({ filter }: Row): string {
  const words = Object.entries(filter).map(([field, value]) => `${field}=${value}`)
  return words.length === 0 ? 'all' : words.join(' ')
}
