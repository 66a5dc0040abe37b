/** Agents with certificates beside simulated nodes, and a house that has made them: what they do when those change or end. */
import { X509Certificate } from 'node:crypto'
import t, { type Test } from 'tap'
import { certified } from '../../src/agent/certified.ts'
import { type Clock, systemClock } from '../../src/clock.ts'
import type { Failure } from '../../src/failure.ts'
import type { Journal } from '../../src/journal/journal.ts'
import { openMemoryJournal } from '../../src/journal/memory.ts'
import { makeAuthority, pkiIn } from '../../src/pki/authority.ts'
import { fingerprintOf } from '../../src/pki/bearer.ts'
import { keyOfRequest } from '../../src/pki/certificate.ts'
import { type Identity, Papers } from '../../src/pki/papers.ts'
import { newRequest } from '../../src/pki/request.ts'
import { Channel } from '../../src/rpc/channel.ts'
import { toHouse } from '../../src/rpc/credentials.ts'
import { houseService } from '../../src/rpc/definitions.ts'
import { PROBE } from '../../src/rpc/limits.ts'
import type { AttachRequest, AttachResponse } from '../../src/rpc/messages.ts'
import { dataFolder, world } from '../house/world.ts'
import { agentOf, simOf } from './beside.ts'

async function given(t: Test, journal?: Journal) {
  const data = dataFolder(t)
  const authority = await makeAuthority(pkiIn(data), systemClock)
  const flags = { agents: '127.0.0.1:0', data }
  const w = await world(t, { sims: [], flags, ...(journal && { journal }) })
  const { engine } = w.house
  return {
    w,
    data,
    /** As if the agent had joined with a house that gives certificates for so long. */
    async identity(node: string, lifetimeMs: number): Promise<Identity> {
      const { key, csr } = newRequest()
      const now = Date.now()
      const made = authority.issue({ role: 'node', node }, keyOfRequest(csr)!, { now, lifetimeMs })
      const { serialNumber: serial, raw } = new X509Certificate(made.certificate)
      const [tokenHash, until] = [`hash of ${serial}`, now + 60_000]
      await engine.dispatch('agent', node, { type: 'agent.invite', data: { tokenHash, until } })
      const certificate = { serial, fingerprint: fingerprintOf(raw), until: made.until }
      await engine.dispatch('agent', node, { type: 'agent.join', data: { ...certificate, tokenHash } })
      return { key, certificate: made.certificate, authority: authority.certificate }
    },
    introduced(identity: Identity, { away = false, clock = systemClock } = {}) {
      const papers = new Papers(identity)
      const [saved, warnings] = [[] as Identity[], [] as string[]]
      const introductions = certified({
        clock,
        papers,
        house: away ? '127.0.0.1:1' : w.house.agents!,
        trySave: async () => {},
        save: async next => void saved.push(next),
        warn: message => void warnings.push(message),
      })
      return { papers, introductions, saved, warnings }
    },
    revoke: (node: string) =>
      engine.dispatch('agent', node, { type: 'agent.revoke', data: { reason: 'stolen' } }),
  }
}

/** What came of it until it was cut, if it was. */
async function read(answer: Promise<Response>): Promise<string> {
  let text = ''
  try {
    for await (const chunk of (await answer).body!.pipeThrough(new TextDecoderStream())) text += chunk
  } catch {
    text += ' (cut)'
  }
  return text
}

t.test('a certificate is renewed in the middle of an answer, and the answer is whole', async t => {
  const { w, identity, introduced } = await given(t)
  const sim = await simOf(t, { words: 100, decodeTps: 50 })
  let ring = (): void => void t.fail('nothing was to be renewed')
  const clock: Clock = {
    ...systemClock,
    after(ms, run) {
      if (ms < 300_000) return systemClock.after(ms, run)
      ring = run
      return { cancel() {} }
    },
  }
  const { introductions, saved, warnings } = introduced(await identity('n1', 600_000), { clock })
  await agentOf(t, { ollama: sim.url, house: w.house.agents!, introductions })
  await w.fact('node.joined')
  const answer = read(w.generate({ model: 'tiny', prompt: 'a', stream: true }))
  await w.fact('request.begun')
  ring()
  const renewed = await w.fact('agent.renewed')
  const lines = (await answer).trim().split('\n')
  t.match(JSON.parse(lines.at(-1)!), { done: true, done_reason: 'stop' })
  t.ok(renewed.seq < (await w.fact('request.completed')).seq, 'while it was under way')
  t.same([saved.length, warnings], [1, []])
  t.equal(new X509Certificate(saved[0]!.certificate).serialNumber, renewed.data.serial)
  t.equal((await w.facts('node.lost')).length, 0)
  t.equal((await w.generate()).status, 200)
})

t.test('a line ends when its certificate does, with what runs on it', async t => {
  const { w, identity, introduced } = await given(t)
  const sim = await simOf(t, { words: 2_000, decodeTps: 50 })
  const first = await identity('n1', 5_000)
  const { introductions } = introduced(first, { away: true })
  await agentOf(t, { ollama: sim.url, house: w.house.agents!, introductions })
  await w.fact('node.joined')
  const text = await read(w.generate({ model: 'tiny', prompt: 'a', stream: true }))
  const late = Date.now() - new X509Certificate(first.certificate).validToDate.getTime()
  t.ok(late > -50 && late < 5_000, `${late} ms after its end`)
  t.notMatch(text, /"done":true/)
  t.match((await w.fact('node.lost')).id, 'n1')
})

t.test('who is revoked in the middle of an answer is cut at once', async t => {
  const { w, identity, introduced, revoke } = await given(t)
  const sim = await simOf(t, { words: 2_000, decodeTps: 50 })
  const { introductions } = introduced(await identity('n1', 600_000))
  await agentOf(t, { ollama: sim.url, house: w.house.agents!, introductions })
  await w.fact('node.joined')
  const answer = w.generate({ model: 'tiny', prompt: 'a', stream: true })
  await w.fact('request.begun')
  const began = performance.now()
  await revoke('n1')
  t.notMatch(await read(answer), /"done":true/)
  const ms = performance.now() - began
  t.ok(ms < 5_000, `${Math.round(ms)} ms`)
  await w.fact('node.lost')
})

t.test('who opened a stream before it was revoked, and says hello after that, is not let in', async t => {
  const { w, identity, introduced, revoke } = await given(t)
  const { papers } = introduced(await identity('n1', 600_000))
  const channel = new Channel({
    clock: systemClock,
    address: w.house.agents!,
    dialling: toHouse(papers),
    probe: PROBE,
  })
  t.teardown(() => channel.cut())
  await channel.ready(10_000)
  const stream = channel.exchange<AttachResponse, AttachRequest>(houseService, 'Attach')
  // What comes after it on the same line is answered, so the stream is open.
  await t.rejects(channel.ask(houseService, 'Renew', { csr: '' }), { code: 'agent.request' })
  await revoke('n1')
  const ending = new Promise<Failure | string>(resolve => {
    stream.hear({
      accepted: () => resolve('let in'),
      message() {},
      room() {},
      end: () => resolve('ended'),
      gone: resolve,
    })
  })
  const hello = { session: 's', startedAt: 1, agentVersion: '0.0.0', labels: {}, node: '' }
  stream.put({ hello })
  t.match(await ending, { code: 'agent.revoked' })
  t.same(await w.facts('node.registered'), [])
})

t.test('an agent that stays out says so again when the reason is another', async t => {
  const { w, identity, introduced, revoke } = await given(t)
  const sim = await simOf(t)
  const { introductions } = introduced(await identity('n1', 600_000))
  const reasons: string[] = []
  const wanted = new Map<string, () => void>()
  const says = (code: string): Promise<void> =>
    new Promise(resolve => (reasons.includes(code) ? resolve() : wanted.set(code, resolve)))
  await agentOf(t, {
    ollama: sim.url,
    house: w.house.agents!,
    introductions,
    heard(up, why) {
      const said = up ? 'attached' : why!.code
      reasons.push(said)
      wanted.get(said)?.()
    },
  })
  await says('attached')
  await revoke('n1')
  await says('agent.revoked')
  await identity('n1', 600_000)
  await says('agent.outdated')
  await new Promise(resolve => setTimeout(resolve, 2_000))
  t.equal(reasons.filter(said => said === 'agent.outdated').length, 1, 'and once')
})

t.test(
  'an agent that listens is dialled, answers its house, and is not dialled any more once revoked',
  async t => {
    const { w, identity, introduced, revoke } = await given(t)
    const sim = await simOf(t, { words: 2_000, decodeTps: 50 })
    const { introductions } = introduced(await identity('n1', 600_000))
    const agent = await agentOf(t, { ollama: sim.url, listen: '127.0.0.1:0', introductions })
    const res = await w.post('/quipu/nodes', { url: `grpc://${agent.address}`, name: 'n1' })
    t.equal(res.status, 201)
    await w.fact('node.joined')
    const answer = w.generate({ model: 'tiny', prompt: 'a', stream: true })
    await w.fact('request.begun')
    const began = performance.now()
    await revoke('n1')
    t.notMatch(await read(answer), /"done":true/)
    const ms = performance.now() - began
    t.ok(ms < 5_000, `${Math.round(ms)} ms`)
    await w.fact('node.lost')
    t.equal(sim.models().length, 2)
  },
)

t.test('a house that is started anew shows other papers, and its agents come back to it', async t => {
  const records: string[] = []
  const { w, data, identity, introduced } = await given(t, openMemoryJournal({ records }))
  const sim = await simOf(t)
  const { introductions } = introduced(await identity('n1', 600_000))
  const at = w.house.agents!
  await agentOf(t, { ollama: sim.url, house: at, introductions })
  await w.fact('node.joined')
  await w.house.close()
  const again = await world(t, {
    sims: [],
    flags: { agents: at, data },
    journal: openMemoryJournal({ records }),
  })
  await again.fact('node.registered', ({ id }) => id === 'n1')
  let status = 0
  for (const late = Date.now() + 15_000; status !== 200 && Date.now() < late; ) {
    status = (await again.generate()).status
  }
  t.equal(status, 200)
  t.equal((await again.facts('agent.joined')).length, 1)
})

t.test('an agent that listens under the name of another node is not asked anything', async t => {
  const { w, identity, introduced } = await given(t)
  const sim = await simOf(t)
  await identity('n1', 600_000)
  const { introductions } = introduced(await identity('thief', 600_000))
  const agent = await agentOf(t, { ollama: sim.url, name: 'n1', listen: '127.0.0.1:0', introductions })
  await w.post('/quipu/nodes', { url: `grpc://${agent.address}`, name: 'n1' })
  for (let misses = 0; misses < 3; ) {
    await new Promise(resolve => setTimeout(resolve, 50))
    misses = ((await (await fetch(`${w.url}/quipu/nodes/n1`)).json()) as { misses: number }).misses
  }
  t.equal((await w.facts('node.joined')).length, 0)
})
