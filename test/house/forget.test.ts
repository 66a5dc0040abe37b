/** A client asks, and is forgotten, by a house that goes on working. */
import { readdirSync, readFileSync, renameSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import t from 'tap'
import { systemClock as clock } from '../../src/clock.ts'
import { openLevelJournal } from '../../src/journal/level.ts'
import { run } from '../cli/terminal.ts'
import { dataFolder, world } from './world.ts'

const CLIENT = 'margarethe@attic'
/** LevelDB compresses: the middle of a name stands there letter by letter, and how it begins may not. */
const TRACE = 'garethe@at'

function holding(dir: string, ...words: readonly string[]): readonly string[] {
  return readdirSync(dir, { recursive: true, encoding: 'utf8' }).flatMap(path => {
    if (!statSync(join(dir, path)).isFile()) return []
    const bytes = readFileSync(join(dir, path))
    return words.filter(word => bytes.includes(word)).map(word => `${path}: ${word}`)
  })
}

t.test('nobody is known by name any more, in no file, at no door; and it works on', async t => {
  const dir = dataFolder(t)
  const w = await world(t, {
    journal: await openLevelJournal({ dir, clock, create: true }),
    flags: { data: dir },
  })
  const ask = async () =>
    (await w.generate({}, { 'X-Quipu-Client': CLIENT })).headers.get('x-quipu-request') as string
  const id = await ask()
  await w.fact('request.completed')
  t.ok(holding(dir, TRACE).length > 0)
  const forget = (client: string) => w.post('/quipu/forget', { client })
  t.match(await (await forget(CLIENT)).json(), { facts: 1, kept: 0 })
  t.same(holding(dir, TRACE), [])
  const told = await Promise.all(
    [`/quipu/requests/${id}`, '/quipu/requests', `/quipu/requests/${id}/why`, '/quipu/journal'].map(
      async path => (await fetch(w.url + path)).text(),
    ),
  )
  t.notMatch(told.join(), CLIENT)
  t.match(told[0], '"client":"forgotten"')
  t.match(await (await forget('nobody')).json(), { id: '', facts: 0, kept: 0 })
  t.equal((await forget('forgotten')).status, 400)
  await ask()
  t.match(await (await fetch(`${w.url}/quipu/requests?client=${CLIENT}`)).json(), [{ client: CLIENT }])
  await w.house.close()
  t.match(await run(t, ['audit', '--data', dir]), { code: 0 })
  t.match(await run(t, ['forget', '--client', CLIENT, '--data', dir]), { code: 0, out: /^1 fact forgot it/ })
  t.same(holding(dir, TRACE), [])
  t.match(await run(t, ['audit', '--data', dir]), { code: 0 })
})

t.test('archive files forget, asked by a door or by the verb, and are copied as they are then', async t => {
  const dir = dataFolder(t)
  const w = await world(t, {
    journal: await openLevelJournal({ dir, clock, create: true }),
    flags: { data: dir },
  })
  await (await w.generate({}, { 'X-Quipu-Client': CLIENT })).text()
  await (await w.generate({}, { 'X-Quipu-Client': 'ada@cellar' })).text()
  await w.house.engine.settled()
  await w.post('/quipu/archive', { seq: w.house.journal.durable + 1 })
  const { data } = await w.fact('archive.sealed')
  const path = join(dir, 'archive', data.file)
  const printed = (): string => gunzipSync(readFileSync(path)).toString()
  t.match(printed(), CLIENT)
  t.match(await (await w.post('/quipu/forget', { client: CLIENT })).json(), { facts: 1, kept: 0 })
  t.notMatch(printed(), CLIENT)
  const { files } = (await (await fetch(`${w.url}/quipu/archive`)).json()) as { files: object[] }
  t.match(files, [{ bytes: statSync(path).size, sha256: (await w.fact('archive.rewritten')).data.sha256 }])
  await w.house.close()

  const verb = ['forget', '--client', 'ada@cellar', '--data', dir]
  renameSync(path, `${path}.away`)
  t.match(await run(t, verb), { code: 1, err: data.file })
  renameSync(`${path}.away`, path)
  t.match(await run(t, verb), { code: 0, out: /^1 fact forgot it/ })
  t.notMatch(printed(), 'ada@cellar')
  const copies = join(dir, 'copies')
  t.match(await run(t, ['archive', '--data', dir, '--to', copies]), { code: 0 })
  t.same(readFileSync(join(copies, data.file)), readFileSync(path))
  t.match(await run(t, ['audit', '--data', dir]), { code: 0 })
})

t.test('no file holds what anybody asked, was answered, or proved to be', async t => {
  const dir = dataFolder(t)
  const w = await world(t, {
    journal: await openLevelJournal({ dir, clock, create: true }),
    flags: { data: dir },
  })
  const canary = (where: string): string => `canary-${where}-7f3a`
  const headers = {
    Authorization: `Bearer ${canary('token')}`,
    'X-Api-Key': canary('apikey'),
    'Idempotency-Key': canary('idempotency'),
    Cookie: `session=${canary('cookie')}`,
    'User-Agent': canary('agent'),
    'X-Anything': canary('header'),
  }
  const body = {
    prompt: canary('prompt'),
    system: canary('system'),
    images: [],
    options: { stop: [canary('stop')] },
  }
  await (await w.generate(body, headers)).text()
  const chat = { model: 'tiny', messages: [{ role: 'user', content: canary('message') }], stream: false }
  await (await w.post('/api/chat', chat, headers)).text()
  await (await w.post('/v1/chat/completions', chat, headers)).text()
  await (await w.post('/api/embed', { model: 'tiny', input: canary('input') }, headers)).text()
  await (await w.post('/api/chat?secret=1', { ...chat, messages: canary('malformed') }, headers)).text()
  const { headers: wished } = { headers: { 'X-Quipu-Priority': canary('wish') } }
  await (await w.post('/api/chat', chat, wished)).text()
  const job = { path: '/api/chat', body: chat }
  await (await w.post('/quipu/jobs', job, headers)).text()
  await w.fact('request.completed', ({ id }) => id !== '')
  await w.house.close()
  t.same(holding(dir, 'canary-'), [])
})

t.test(
  'with pseudonyms nobody is written down by name; who asks by it is understood all the same',
  async t => {
    const dir = dataFolder(t)
    const w = await world(t, {
      journal: await openLevelJournal({ dir, clock, create: true }),
      flags: { data: dir, pseudonyms: 'on' },
    })
    await (await w.generate({}, { 'X-Quipu-Client': CLIENT })).text()
    await (await w.generate()).text()
    await w.post('/quipu/nodes/n1/drain', {})
    const [named, unnamed] = (await w.facts('request.admitted')).map(({ data }) => data.client)
    const [drained] = await w.facts('node.drained')
    t.match(named, /^~[\w-]{16}$/)
    t.not(named, unnamed)
    t.equal(drained!.by, unnamed, 'an operator is somebody, too')
    t.same(holding(dir, TRACE), [])
    t.equal(statSync(join(dir, 'pseudonyms.key')).mode & 0o777, 0o600)
    const listed = (await (await fetch(`${w.url}/quipu/requests?client=${CLIENT}`)).json()) as object[]
    t.match(listed, [{ client: named }])
    t.equal(listed.length, 1)

    const reader = new AbortController()
    const told = await fetch(`${w.url}/quipu/events?client=${CLIENT}&from=start`, {
      headers: { accept: 'application/x-ndjson' },
      signal: reader.signal,
    })
    let said = ''
    for await (const chunk of told.body!) {
      said += Buffer.from(chunk).toString()
      if (said.includes('"request.completed"')) break
    }
    reader.abort()
    t.match(said, named)
    t.notMatch(said, unnamed)

    const order = { name: 'hers', filter: { client: CLIENT }, from: 'start' }
    t.match(await (await w.post('/quipu/subscriptions', order)).json(), { filter: { client: named } })
    t.equal((await w.post('/quipu/subscriptions', order)).status, 200, 'the same one once more')
    const taken = await w.post('/quipu/subscriptions/hers/take', {})
    const { facts } = (await taken.json()) as { facts: object[] }
    t.match(facts[0], { type: 'request.admitted', data: { client: named } })

    const job = { path: '/api/generate', client: CLIENT, body: { model: 'tiny', prompt: 'hi' } }
    await w.post('/quipu/jobs', job)
    const jobs = (await (await fetch(`${w.url}/quipu/jobs?client=${CLIENT}`)).json()) as { id: string }[]
    t.match(jobs, [{ client: named }])
    await fetch(`${w.url}/quipu/jobs/${jobs[0]?.id}`, { method: 'DELETE' })
    t.same(holding(dir, TRACE), [])
    t.match(await (await w.post('/quipu/forget', { client: CLIENT })).json(), { facts: 2, kept: 0 })
    t.match(
      await (await w.post('/quipu/forget', { client: unnamed })).json(),
      { facts: 1, kept: 4 },
      'the drain, the subscription, the job called off, and the forgetting before',
    )
    await w.house.close()
    t.match(await run(t, ['audit', '--data', dir]), { code: 0 })
  },
)
