/** Settings that are turned while a whole house runs, and what a restart keeps of them and of the samples. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { type Clock, systemClock } from '../../src/clock.ts'
import { readConfig } from '../../src/config.ts'
import { type House, openHouse } from '../../src/main.ts'
import { startSim } from '../../src/sim/sim.ts'
import { world } from './world.ts'

const set = (url: string, name: string, value: string): Promise<Response> =>
  fetch(`${url}/quipu/config/${name}`, { method: 'PUT', body: JSON.stringify({ value }) })

t.test('a queue that is made shorter refuses the next request, and made longer takes it', async t => {
  const w = await world(t, { sims: [{ loadMs: 600_000 }] })
  const stop = new AbortController()
  const body = JSON.stringify({ model: 'tiny', prompt: 'x' })
  const waits = async (n: number): Promise<void> => {
    fetch(`${w.url}/api/generate`, { method: 'POST', body, signal: stop.signal }).catch(() => {})
    while ((await w.facts('request.admitted')).length < n) await new Promise(setImmediate)
  }
  await waits(1)
  t.equal((await set(w.url, 'queue-max', '1')).status, 200)
  t.equal((await w.generate()).status, 503)
  await set(w.url, 'queue-max', '2')
  await set(w.url, 'wait-max', '1h')
  await set(w.url, 'attempts-max', '7')
  await waits(2)
  const [first, second] = await w.facts('request.admitted')
  // The clock is read for each of the two.
  const [soon, late] = [first!, second!].map(({ at, data }) => Math.round((data.expiresAt - at) / 1_000))
  t.equal(soon, 600, 'who waits keeps what it was admitted with')
  t.same([late, second!.data.attemptsMax], [3_600, 7])
  stop.abort()
})

t.test('whoever had to stand aside goes on when the limit is raised', async t => {
  const w = await world(t, {
    sims: [{ slots: 2, decodeTps: 20, words: 1_000 }],
    flags: { 'client-running-max': '1' },
  })
  const stop = new AbortController()
  const body = JSON.stringify({ model: 'tiny', prompt: 'x' })
  const ask = (): void =>
    void fetch(`${w.url}/api/generate`, { method: 'POST', body, signal: stop.signal }).catch(() => {})
  ask()
  const first = await w.fact('request.begun')
  ask()
  await w.fact('request.admitted', ({ id }) => id !== first.id)
  const { seq } = w.house.journal.head
  await set(w.url, 'client-running-max', '2')
  const second = await w.fact('request.assigned', ({ id }) => id !== first.id)
  t.equal(second.seq, seq + 2, 'right after setting.set, and with nothing else to wake the scheduler')
  stop.abort()
})

t.test('a body limit holds for the next body', async t => {
  const w = await world(t)
  await set(w.url, 'body-max', '1K')
  t.equal((await w.generate({ prompt: 'x'.repeat(2_000) })).status, 413)
  await fetch(`${w.url}/quipu/config/body-max`, { method: 'DELETE' })
  const long = await w.generate({ prompt: 'x'.repeat(2_000) })
  t.equal(long.status, 200)
  await long.text()
})

t.test('a quicker pace of looks begins at once, not after the look that the slow one had set', async t => {
  const w = await world(t, { flags: { 'probe-every': '1h' } })
  await w.sims[0]!.close()
  t.equal((await set(w.url, 'probe-every', '10ms')).status, 200)
  await w.fact('node.lost')
})

t.test('a load that takes too long is given up after what is set now', async t => {
  const w = await world(t, { sims: [{ loadMs: 600_000 }] })
  await set(w.url, 'load-max', '50ms')
  const stop = new AbortController()
  const body = JSON.stringify({ model: 'tiny', prompt: 'x' })
  fetch(`${w.url}/api/generate`, { method: 'POST', body, signal: stop.signal }).catch(() => {})
  const { data } = await w.fact('replica.failed')
  t.equal(data.status, 0, 'the node had not answered yet')
  stop.abort()
})

t.test('a grace that is set while answers run is the one they are given', async t => {
  const w = await world(t, { sims: [{ decodeTps: 50, words: 20 }] })
  const running = await w.generate()
  await set(w.url, 'grace', '1m')
  const closed = w.house.close()
  t.match(await running.text(), /"done":true/)
  await closed
})

async function restarted(
  t: Test,
  dir: string,
  { clock = systemClock, flags = {} }: { clock?: Clock; flags?: Record<string, string> },
): Promise<House> {
  const config = readConfig(
    { data: dir, port: '0', embedded: 'off', log: 'silent', grace: '0ms', ...flags },
    {},
  )
  const house = await openHouse({
    config,
    clock,
    version: '0.0.0',
    onBug: error => t.fail('a bug', { error }),
  })
  t.teardown(() => house.close())
  return house
}

t.test('a restart keeps what was set, whatever the flags say, and the samples of the servers', async t => {
  const dir = join(t.testdir(), 'data')
  const sim = await startSim({ name: 'n1', loadMs: 10, words: 3 })
  t.teardown(() => sim.close())
  // Samples are taken every ten seconds, by a clock that runs ten times as fast.
  const began = systemClock.now()
  const clock: Clock = {
    ...systemClock,
    now: () => began + 10 * (systemClock.now() - began),
    after: (ms, run) => systemClock.after(ms / 10, run),
  }
  const first = await restarted(t, dir, { clock })
  await fetch(`${first.url}/quipu/nodes`, {
    method: 'POST',
    body: JSON.stringify({ url: sim.url, name: 'n1' }),
  })
  await (await fetch(`${first.url}/api/generate`, { method: 'POST', body: '{"model":"tiny"}' })).text()
  await set(first.url, 'queue-max', '64')
  const rows = async (house: House, table: string): Promise<any[]> =>
    (await (await fetch(`${house.url}/quipu/stats/${table}`)).json()) as any[]
  // The first one may have been taken while the node was joining.
  while ((await rows(first, 'server_stats'))[0]?.value !== 1) {
    await new Promise<void>(resolve => systemClock.after(50, resolve))
  }
  await first.close()
  t.ok(existsSync(join(dir, 'stats/10s')))

  const again = await restarted(t, dir, { flags: { 'queue-max': '7' } })
  t.equal(again.config.queueMax, 64)
  const config = (await (await fetch(`${again.url}/quipu/config`)).json()) as any[]
  t.match(
    config.find(({ name }) => name === 'queue-max'),
    { value: '64', source: 'set', start: '7' },
  )
  const samples = await rows(again, 'server_stats')
  t.match(samples[0], { server: sim.url, type: 'health', value: 1 })
  t.match(await rows(again, 'request_stats'), [{ total: 1, generate: 1 }])
  t.match(await rows(again, 'inference_queue'), [{ status: 'completed', server_assigned: sim.url }])
  t.match(await rows(again, 'config'), [{ setting: 'queue-max', before: '512', after: '64' }])
  const models = await rows(again, 'models')
  t.match(
    models.find(({ name }) => name === 'tiny:latest'),
    { usage_count: 1, servers: [sim.url] },
  )
})
