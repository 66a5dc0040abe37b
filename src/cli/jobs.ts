/** `quipu jobs`: requests that outlive their client. Submits them, looks at them, fetches what came of them, calls them off. */

import { readFile } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { Failure } from '../failure.ts'
import type { Job } from '../gateway/schema/jobs.ts'
import type { Told } from '../gateway/schema/words.ts'
import { JOB_STATES } from '../gateway/states.ts'
import { type Client, clientOf } from './client.ts'
import { deedIn } from './deed.ts'
import { countOf, durationOf, sizeOf, timeOf } from './quantities.ts'
import { TINTS } from './requests.ts'
import { houseOptions } from './settings.ts'
import { sayTable } from './table.ts'
import { plain, remark, say, sayJson } from './terminal.ts'
import { type Given, jsonOption, misused, textOf, type Verb, wholeOf, wordsOf } from './verb.ts'

type JobRow = Told<typeof Job>

const LIMIT = 20
const STATES = [...JOB_STATES, 'open', 'finished']

export const jobs: Verb = {
  usage: ['jobs [ls]', 'jobs submit FILE', 'jobs show ID', 'jobs result ID', 'jobs cancel ID'],
  about:
    'Submits jobs and prints their ids (submit), lists them, newest first (ls), tells how one stands (show), prints its ' +
    'answer as it came (result), or calls it off, wherever it is (cancel). FILE holds one job as JSON, ' +
    '{"path": "/api/generate", "body": {"model": …}, …}, or one a line; with --path it holds the body alone; - is stdin.',
  options: {
    path: {
      value: 'PATH',
      fallback: 'the job says',
      sentence: 'submit: what is asked, as /api/chat or /v1/messages',
    },
    priority: { value: 'N', fallback: '5', sentence: 'submit: 9 goes first, 0 last' },
    class: { value: 'CLASS', fallback: 'batch', sentence: 'submit: interactive or batch' },
    deadline: {
      value: 'TIME',
      fallback: 'none',
      sentence: 'submit: when an answer is of no use any more; 2h from now, or 2031-01-30T08:00:00Z',
    },
    key: {
      value: 'KEY',
      fallback: 'none',
      sentence: 'submit: the same key brings the same job, not another one',
    },
    callback: { value: 'URL', fallback: 'none', sentence: 'submit: what to call when it is over' },
    'secret-file': {
      value: 'FILE',
      fallback: 'calls are not signed',
      sentence: 'submit: what the call is signed with is in this file',
    },
    state: {
      value: 'STATE',
      fallback: 'all',
      sentence: `ls: only these: ${STATES.join(', ')} (open is the first four); several with commas`,
    },
    model: { value: 'NAME', fallback: 'all', sentence: 'ls: only this model; several with commas' },
    client: {
      value: 'NAME',
      fallback: 'all; submit: the address',
      sentence: 'ls: only of this client; submit: who asks',
    },
    limit: { value: 'N', fallback: String(LIMIT), sentence: 'ls: how many at most' },
    ...houseOptions,
    ...jsonOption,
  },
  examples: [
    ['quipu jobs submit night.ndjson --class batch', 'one job a line; prints their ids'],
    [
      'echo \'{"model":"llama3.2","prompt":"hi"}\' | quipu jobs submit - --path /api/generate',
      'a job from a body',
    ],
    ['quipu jobs result 01M7Z02NPBY5W9M7ATPG6V6H9Q > answer.json', 'the bytes as the node wrote them'],
  ],
  wordsMax: 2,
  async run(given) {
    const asked = given.words.length === 0 ? ['ls'] : given.words
    const { name, deed, words } = deedIn(deeds, asked, { verb: 'jobs' })
    for (const [flag, where] of Object.entries(BELONGS)) {
      if (given.flags[flag] !== undefined && !where.includes(name)) {
        throw misused(`--${flag} goes with jobs ${where.join(' and ')}`)
      }
    }
    await deed.run(clientOf(given), given, words[0] ?? '')
  },
}

/** Which deeds an option is for. */
const BELONGS: Readonly<Record<string, readonly string[]>> = {
  path: ['submit'],
  priority: ['submit'],
  class: ['submit'],
  deadline: ['submit'],
  key: ['submit'],
  callback: ['submit'],
  'secret-file': ['submit'],
  state: ['ls'],
  model: ['ls'],
  limit: ['ls'],
  client: ['ls', 'submit'],
}

interface Deed {
  readonly words: readonly string[]
  readonly run: (client: Client, given: Given, word: string) => Promise<void>
}

const deeds: Readonly<Record<string, Deed>> = {
  ls: { words: [], run: list },
  submit: { words: ['FILE'], run: submit },
  show: { words: ['ID'], run: show },
  result: { words: ['ID'], run: result },
  cancel: { words: ['ID'], run: cancel },
}

const pathOf = (id: string): string => `/quipu/jobs/${encodeURIComponent(id)}`

async function list(client: Client, given: Given): Promise<void> {
  const state = wordsOf(given, 'state', STATES)
  const [model, who] = ['model', 'client'].map(name => textOf(given, name))
  const query = { state, model, client: who, limit: wholeOf(given, 'limit') ?? LIMIT }
  const rows = await client.ask<readonly JobRow[]>('/quipu/jobs', { query })
  if (given.switches.has('json')) return sayJson(rows)
  sayTable(
    rows,
    [
      { name: 'ID', cell: ({ id }) => id },
      { name: 'CAME', cell: ({ admittedAt }) => timeOf(admittedAt).slice(0, -4) },
      { name: 'STATE', cell: ({ state }) => state, tint: ({ state }) => TINTS[state] },
      { name: 'MODEL', cell: ({ model }) => model },
      { name: 'CLIENT', cell: ({ client }) => client },
      { name: 'PRIORITY', right: true, cell: ({ priority }) => String(priority) },
      { name: 'NODE', cell: ({ node }) => node ?? '' },
      { name: 'TRIES', right: true, cell: ({ attempts }) => String(attempts) },
      { name: 'ANSWER', right: true, cell: ({ bytes }) => (bytes === undefined ? '' : sizeOf(bytes)) },
      { name: 'END', cell: ({ status, reason }) => reason ?? String(status ?? '') },
    ],
    'No such job. Those that are over are kept for a day, unless --keep-finished of serve says otherwise.',
  )
}

async function submit(client: Client, given: Given, file: string): Promise<void> {
  const wishes = await wishesIn(given)
  const found = jobsIn(await read(file), textOf(given, 'path'))
  if (found.length > 1 && wishes.idempotencyKey !== undefined) {
    throw misused('--key is for one job; where there are several, each has its own "idempotencyKey"')
  }
  const taken: JobRow[] = []
  for (const [i, job] of found.entries()) {
    try {
      const row = await client.ask<JobRow>('/quipu/jobs', { method: 'POST', body: { ...job, ...wishes } })
      taken.push(row)
      if (!given.switches.has('json')) say(row.id)
    } catch (error) {
      if (found.length === 1 || !(error instanceof Failure)) throw error
      throw new Failure(error.code, `job ${i + 1} of ${found.length}: ${error.message}`, { cause: error })
    }
  }
  if (given.switches.has('json')) sayJson(taken)
}

/** What options say of all jobs. */
async function wishesIn(given: Given): Promise<{ readonly idempotencyKey?: string } & object> {
  const url = textOf(given, 'callback')
  const secretFile = textOf(given, 'secret-file')
  if (secretFile !== undefined && url === undefined) throw misused('--secret-file goes with --callback')
  const secret = secretFile === undefined ? undefined : (await read(secretFile)).trim()
  const wishes = {
    priority: wholeOf(given, 'priority', 9),
    class: wordsOf(given, 'class', ['interactive', 'batch']),
    deadline: textOf(given, 'deadline'),
    client: textOf(given, 'client'),
    idempotencyKey: textOf(given, 'key'),
    callback: url === undefined ? undefined : { url, ...(secret !== undefined && { secret }) },
  }
  return Object.fromEntries(Object.entries(wishes).filter(([, wish]) => wish !== undefined))
}

async function read(file: string): Promise<string> {
  try {
    return file === '-' ? await text(process.stdin) : await readFile(file, 'utf8')
  } catch (error) {
    throw misused(`${file} cannot be read: ${(error as Error).message}`)
  }
}

/** One value, or one a line. With a path, each is a body. */
function jobsIn(written: string, path: string | undefined): readonly object[] {
  const values = one(written) ?? written.split('\n').flatMap((line, i) => valueIn(line, `line ${i + 1}`))
  if (values.length === 0) throw misused('there is no job in it')
  return values.map(value => (path === undefined ? value : { path, body: value }))
}

function one(written: string): readonly object[] | undefined {
  try {
    return valueIn(written, 'it')
  } catch {
    return undefined
  }
}

function valueIn(written: string, where: string): readonly object[] {
  if (written.trim() === '') return []
  let value: unknown
  try {
    value = JSON.parse(written)
  } catch (error) {
    throw misused(`${where} is not JSON: ${(error as Error).message}`)
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return [value]
  throw misused(`${where} is not a JSON object`)
}

async function show(client: Client, { switches }: Given, id: string): Promise<void> {
  const job = await client.ask<JobRow>(pathOf(id))
  if (switches.has('json')) return sayJson(job)
  const { path, model, client: who, priority, admittedAt, endedAt, attempts, node, bytes, digest } = job
  const lines: readonly (readonly [string, string | undefined])[] = [
    ['job', job.id],
    ['state', [job.state, job.reason ?? job.status].filter(part => part !== undefined).join(', ')],
    ['asked', `${path} for ${model}, by ${who}, at ${timeOf(admittedAt)}`],
    ['priority', `${priority}, ${job.class}`],
    ['deadline', job.deadlineAt === undefined ? undefined : timeOf(job.deadlineAt)],
    ['tries', `${countOf(attempts)}${node === undefined ? '' : `, the last on ${node}`}`],
    [
      'ended',
      endedAt === undefined ? undefined : `${timeOf(endedAt)}, after ${durationOf(endedAt - admittedAt)}`,
    ],
    ['answer', bytes === undefined ? undefined : `${countOf(bytes, 'byte')}${job.erased ? ', erased' : ''}`],
    ['sha256', digest],
    ['tokens', tokensOf(job)],
    ['callback', callOf(job)],
  ]
  for (const [name, told] of lines) if (told !== undefined) say(plain(`${name.padEnd(10)}${told}`))
}

function tokensOf({ promptTokens, outputTokens }: JobRow): string | undefined {
  if (promptTokens === undefined && outputTokens === undefined) return undefined
  return `${countOf(promptTokens ?? 0)} in, ${countOf(outputTokens ?? 0)} out`
}

function callOf({ callback }: JobRow): string | undefined {
  if (callback === undefined) return undefined
  const { state, attempts, until, reason, status } = callback
  if (state === 'awaited') return 'when it is over'
  const why = status === undefined ? reason : `answered ${status}`
  const next = until === undefined ? '' : `; the next try is due at ${timeOf(until)}`
  return `${state} after ${countOf(attempts, 'try', 'tries')}${why === undefined ? '' : ` (${why})`}${next}`
}

/** The bytes and nothing else; an answer that is an error is one all the same, but not a success. */
async function result(client: Client, { switches }: Given, id: string): Promise<void> {
  if (switches.has('json')) throw misused('--json is not for jobs result: it prints the answer as it came')
  const { status, body } = await client.answer(`${pathOf(id)}/result`)
  await pipeline(Readable.from(body), process.stdout, { end: false })
  if (status < 400) return
  remark(`quipu: the answer is an error of the node: ${status}`)
  process.exitCode = 1
}

async function cancel(client: Client, { switches }: Given, id: string): Promise<void> {
  const job = await client.ask<JobRow>(pathOf(id), { method: 'DELETE' })
  if (switches.has('json')) return sayJson(job)
  say(plain(`${job.id} is ${job.state}`))
}
